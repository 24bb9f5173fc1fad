//! One run: a world out of a seed, in which everything goes wrong for a while and then nothing any more.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use crate::{
    audit::Volume,
    dice::{self, Dice},
    history::History,
    network::Network,
    oracle::{self, Evidence},
    people::{self, People},
    promises::Broken,
    proxmox::{Cluster, Line},
    replica::Replica,
    repository::Repository,
    weather::Weather,
};

/// For so long things go wrong.
const ROUGH: Duration = Duration::from_secs(45);
/// So much later all has to be settled: longer than anybody waits for the HA manager.
const PATIENCE: Duration = Duration::from_secs(1200);
/// Who was cut off comes back only after a while, and has to read everything anew.
const NOTICED: Duration = Duration::from_secs(250);
const STEP: Duration = Duration::from_millis(250);

/// An error that is built in on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The API server takes a status whatever its writer has read.
    NoVersions,
    /// A call whose answer is lost is sent again.
    Repeats,
    /// The audit log acknowledges what is not safe.
    Promises,
}

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<Broken>,
    pub(crate) fingerprint: String,
    pub(crate) lines: Vec<String>,
    /// What the program logged.
    pub(crate) log: String,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) plans: u64,
    pub(crate) mutations: u64,
    pub(crate) ends: BTreeMap<String, u64>,
}

pub(crate) fn run(seed: u64, planted: Option<Planted>) -> Ran {
    static WARM: Once = Once::new();
    // What is made once in a process is made by a run that nobody looks at: it throws dice too.
    WARM.call_once(|| drop(in_its_own_thread(0, None)));
    in_its_own_thread(seed, planted)
}

/// The dice of the standard library depend on the thread alone.
fn in_its_own_thread(seed: u64, planted: Option<Planted>) -> Ran {
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(move || {
        dice::load_all(seed);
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::WARN);
        let subscriber = subscriber.with_writer(log.clone()).finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            // From the first tick on all moments are whole milliseconds.
            tokio::time::sleep(Duration::from_millis(1)).await;
            World::new(seed, planted).live(&log).await
        })
    });
    thread.unwrap().join().unwrap_or_else(|_| panic!("the simulation itself broke: SEED={seed}"))
}

struct World {
    seed: u64,
    dice: Dice,
    history: History,
    weather: Arc<Weather>,
    network: Arc<Network>,
    cluster: Arc<Mutex<Cluster>>,
    replicas: Vec<Replica>,
    people: People,
    /// What comes back at which moment.
    later: Vec<(Duration, usize, Later)>,
    clocks: Vec<(String, Duration, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Later {
    Start,
    GoOn,
}

impl World {
    fn new(seed: u64, planted: Option<Planted>) -> Self {
        let dice = Dice::of(seed, 1);
        let history = History::begin();
        let weather = Weather::of(&dice, &Dice::of(seed, 6));
        let network = Network::new(Dice::of(seed, 2), Arc::clone(&weather), history.clone());
        network.objects().forgets_versions = planted == Some(Planted::NoVersions);
        let plans = 5 + u32::try_from(dice.below(8)).unwrap();
        let mut cluster = Cluster::new(&dice);
        cluster.tasks.trouble = weather.tasks;
        people::settle_guests(&mut cluster, &dice, plans);
        let cluster = Arc::new(Mutex::new(cluster));
        let replica = |who: &str| {
            let line = Line {
                cluster: Arc::clone(&cluster),
                dice: Dice::of(seed, 3),
                weather: Arc::clone(&weather),
                history: history.clone(),
                who: who.to_owned(),
                token: String::new(),
                repeats: planted == Some(Planted::Repeats),
            };
            let volume = Volume {
                who: who.to_owned(),
                dice: Dice::of(seed, 4),
                weather: Arc::clone(&weather),
                history: history.clone(),
                promises: planted == Some(Planted::Promises),
                records: Arc::default(),
            };
            let repository = Repository { dice: Dice::of(seed, 6), weather: Arc::clone(&weather) };
            Replica::new(&network, line, repository, volume, Dice::of(seed, 7))
        };
        let replicas = vec![replica("one"), replica("two")];
        let people = People::new(Dice::of(seed, 5), plans);
        Self {
            seed,
            dice,
            history,
            weather,
            network,
            cluster,
            replicas,
            people,
            later: vec![],
            clocks: vec![],
        }
    }

    async fn live(mut self, log: &Log) -> Ran {
        self.network.objects().create("proxmoxenvironments", people::environment(), Duration::ZERO).unwrap();
        self.replicas.iter_mut().for_each(Replica::start);
        while self.history.elapsed() < ROUGH {
            tokio::time::sleep(STEP).await;
            self.come_back();
            let people = &mut self.people;
            people.act(&self.network, &mut self.cluster.lock().unwrap());
            self.break_something().await;
        }
        self.clear_up();
        let deadline = self.history.elapsed() + PATIENCE;
        while self.history.elapsed() < deadline && !self.has_settled() {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        self.ran(log).await
    }

    fn come_back(&mut self) {
        let now = self.history.elapsed();
        let (due, rest): (Vec<_>, Vec<_>) = self.later.drain(..).partition(|(at, ..)| *at <= now);
        self.later = rest;
        for (_, number, what) in due {
            self.again(number, what);
        }
    }

    fn again(&mut self, number: usize, what: Later) {
        let replica = &mut self.replicas[number];
        self.history.note(&replica.name, format!("{what:?}"));
        match what {
            Later::Start if replica.is_running() => {}
            Later::Start => replica.start(),
            Later::GoOn => replica.go_on(),
        }
    }

    fn schedule(&mut self, after: std::ops::Range<u64>, number: usize, what: Later) {
        let at = self.history.elapsed() + self.dice.millis(after);
        self.later.push((at, number, what));
    }

    async fn break_something(&mut self) {
        if !self.dice.permille(120) {
            return;
        }
        // Not only at the steps of the people.
        tokio::time::sleep(self.dice.millis(0..240)).await;
        let number = usize::try_from(self.dice.below(2)).unwrap();
        let name = self.replicas[number].name.clone();
        match self.dice.below(10) {
            0..3 => {
                self.strike("crash", &name);
                self.replicas[number].crash().await;
                self.schedule(100..6_000, number, Later::Start);
            }
            3 | 4 => {
                self.strike("pause", &name);
                self.replicas[number].pause();
                self.schedule(300..30_000, number, Later::GoOn);
            }
            5 => {
                let ahead = i64::try_from(self.dice.below(181)).unwrap() - 90;
                self.strike("clock jump", &format!("{name} {ahead}"));
                self.set_clock(number, ahead);
            }
            6 => {
                self.strike("stop and start", &name);
                self.replicas[number].stop(Duration::from_secs(3)).await;
                self.schedule(100..3_000, number, Later::Start);
            }
            7 => self.network.restart_server(self.dice.millis(200..6_000)),
            8 => self.network.cut_off(&name, self.dice.millis(1_000..25_000)),
            _ => {
                let (one, two) = (self.dice.permille(500), self.dice.permille(500));
                self.strike("leadership moves", &format!("one {one} two {two}"));
                self.replicas[0].leads.set(one);
                self.replicas[1].leads.set(two);
            }
        }
    }

    fn strike(&self, kind: &'static str, what: &str) {
        self.history.fault(kind);
        self.history.note("chaos", format!("{kind}: {what}"));
    }

    fn set_clock(&mut self, number: usize, ahead: i64) {
        let replica = &self.replicas[number];
        replica.clock.set_ahead(ahead);
        self.clocks.push((replica.name.clone(), self.history.elapsed(), ahead));
    }

    /// One of them leads, all run, all clocks are right, and nothing is lost any more.
    fn clear_up(&mut self) {
        self.history.note("chaos", "it clears up");
        self.weather.clear_up();
        self.network.connect_all();
        for number in 0..self.replicas.len() {
            self.again(number, Later::Start);
            self.again(number, Later::GoOn);
            self.set_clock(number, 0);
            self.replicas[number].leads.set(number == 0);
        }
        self.later.clear();
    }

    /// No plan is under way any more. Those that wait for people may do so for ever.
    fn has_settled(&self) -> bool {
        let plans = self.network.objects().list("proxmoxactionplans", "");
        let evidence_is_complete = plans.iter().all(|plan| {
            let phase = plan["status"]["phase"].as_str().unwrap_or("Pending");
            !["Pending", "Approved", "Dispatching", "Running"].contains(&phase)
        });
        evidence_is_complete && self.history.elapsed() > ROUGH + NOTICED
    }

    async fn ran(mut self, log: &Log) -> Ran {
        for replica in &mut self.replicas {
            replica.stop(Duration::from_secs(10)).await;
        }
        let records = self.replicas.iter().flat_map(|replica| replica.volume.records()).collect();
        let evidence = {
            let cluster = self.cluster.lock().unwrap();
            Evidence {
                changes: self.network.objects().changes().to_vec(),
                approvals_read: self.network.approvals_read(),
                forbidden: self.network.forbidden(),
                ledger: cluster.ledger.clone(),
                looks: cluster.looks.clone(),
                tasks: cluster.tasks.all.clone(),
                records,
                writings: self.network.writings(),
                log: log.text(),
                clocks: self.clocks.clone(),
                leads: self
                    .replicas
                    .iter()
                    .map(|replica| (replica.name.clone(), replica.leads.changes()))
                    .collect(),
                ended_at: self.history.elapsed(),
            }
        };
        let ends = oracle::ends(&evidence);
        Ran {
            seed: self.seed,
            violations: oracle::violations(&evidence),
            fingerprint: self.history.fingerprint(),
            lines: self.history.lines(),
            log: evidence.log,
            faults: self.history.faults(),
            plans: ends.values().sum(),
            mutations: evidence.ledger.iter().filter(|entry| entry.done.is_some()).count() as u64,
            ends,
        }
    }
}

/// What the program logs, kept to be searched.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
