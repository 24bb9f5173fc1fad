//! Which runs there are, and many of them at the same time.

use std::{
    collections::{BTreeMap, VecDeque},
    str::FromStr,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    call::Effect,
    classes::{self, Class, named},
    findings::Findings,
    gate::{Boundary, Fault, MUTATION},
    run::{Cell, Report, Scenario},
    site::{Site, sites},
    support::{cluster::Cluster, promises::told, rows::scale},
};

/// Of calls of one kind so many are tried: a task may be looked at any number of times.
fn of_a_kind(effect: Effect) -> u32 {
    match effect {
        Effect::Connects | Effect::Reads | Effect::Watches => 2,
        Effect::Writes | Effect::Mutates => 5,
    }
}

/// How much of the grid is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every kind of boundary with every fault, on some class.
    Sample,
    /// Every boundary of every class with every fault.
    Full,
}

impl FromStr for Extent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sample" => Ok(Self::Sample),
            "full" => Ok(Self::Full),
            other => Err(format!("`{other}` is neither sample nor full")),
        }
    }
}

type Course = (String, Scenario);

/// What is counted without a fault.
fn references(extent: Extent) -> Vec<Course> {
    let course = |class: &str, scenario| (class.to_owned(), scenario);
    let beginning = [course("start", Scenario::Beginning)];
    let decisions = match extent {
        Extent::Sample => vec![],
        Extent::Full => vec![course("reset", Scenario::Again), course("reset", Scenario::Leaving)],
    };
    let (requests, recoveries) = match extent {
        Extent::Sample => (vec!["start", "stop"], vec!["snapshot"]),
        Extent::Full => {
            let all = classes::all().into_iter().map(|class| class.name).collect();
            // How an operator begins depends on nothing that is asked for; how it recovers, on how it can be found out.
            (all, vec!["start", "snapshot", "rollback", "tags", "pool"])
        }
    };
    let requests = requests.into_iter().map(|class| course(class, Scenario::Request));
    let recoveries = recoveries.into_iter().map(|class| course(class, Scenario::Recovery));
    requests.chain(beginning).chain(recoveries).chain(decisions).collect()
}

/// The faults that make a difference at a call.
fn faults(effect: Effect) -> &'static [Fault] {
    use Fault::{KilledAfter, KilledAndLate, KilledBefore, KilledUnanswered, Lost, Slow, Unanswered};
    match effect {
        // Nothing has left yet: it is as if the call were lost.
        Effect::Connects => &[],
        // Whether it was carried out makes no difference.
        Effect::Reads | Effect::Watches => &[KilledBefore, KilledAfter, Lost],
        Effect::Writes => &[KilledBefore, KilledUnanswered, KilledAfter, Lost, Unanswered],
        Effect::Mutates => {
            &[KilledBefore, KilledUnanswered, KilledAfter, KilledAndLate, Lost, Unanswered, Slow]
        }
    }
}

fn cells_of((class, scenario): &Course, trace: &[(Boundary, Effect)]) -> Vec<(Effect, Cell)> {
    let near = trace.iter().filter(|(at, effect)| at.nth <= of_a_kind(*effect));
    let cell =
        |at: &Boundary, fault| Cell { class: class.clone(), scenario: *scenario, at: at.clone(), fault };
    near.flat_map(|(at, effect)| faults(*effect).iter().map(|fault| (*effect, cell(at, *fault)))).collect()
}

/// Of the calls that only read each kind with one fault, by turns; and every write of a plan's status with each.
fn sample(cells: Vec<(Effect, Cell)>) -> Vec<Cell> {
    let mut reads: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    let mut chosen = vec![];
    for (effect, cell) in cells {
        match effect {
            Effect::Mutates => {}
            Effect::Writes if cell.at.call.contains("plans/") => {
                if cell.class == "start" && cell.scenario == Scenario::Request {
                    chosen.push(cell);
                }
            }
            _ => reads.entry(kind(&cell.at.call)).or_default().push(cell),
        }
    }
    chosen
        .extend(reads.into_values().enumerate().map(|(turn, cells)| cells[(7 * turn) % cells.len()].clone()));
    chosen
}

/// The change itself, of each class with another fault. That there is one is known before anything is counted.
fn changes() -> Vec<Cell> {
    let that_change = classes::all().into_iter().filter(|class| !class.is_harmless);
    let by_turns = that_change.zip(faults(Effect::Mutates).iter().cycle());
    let cell = |(class, fault): (Class, &Fault)| {
        let at = Boundary { call: MUTATION.to_owned(), nth: 1 };
        Cell { class: class.name.to_owned(), scenario: Scenario::Request, at, fault: *fault }
    };
    by_turns.map(cell).collect()
}

/// What follows a decision about an unknown outcome: that much is known before anything is counted, too.
fn decisions() -> Vec<Cell> {
    let cell = |scenario, call: &str, fault| Cell {
        class: "reset".to_owned(),
        scenario,
        at: Boundary { call: call.to_owned(), nth: 1 },
        fault,
    };
    let status = "PUT proxmoxactionplans/p/status";
    vec![
        cell(Scenario::Again, status, Fault::KilledUnanswered),
        cell(Scenario::Again, MUTATION, Fault::KilledBefore),
        cell(Scenario::Again, MUTATION, Fault::KilledUnanswered),
        cell(Scenario::Leaving, status, Fault::KilledUnanswered),
    ]
}

/// A call without the names of what it is about.
fn kind(call: &str) -> String {
    let is_named =
        |part: &str| part.chars().any(|c| c.is_ascii_digit()) || ["p", "home", "lxc"].contains(&part);
    let parts: Vec<&str> = call.split('/').map(|part| if is_named(part) { "_" } else { part }).collect();
    match parts.as_slice() {
        // Looks at the cluster differ in nothing but what they show.
        [verb, whole @ ("cluster" | "access"), ..] => format!("{verb}/{whole}"),
        parts => parts.iter().take(4).copied().collect::<Vec<_>>().join("/"),
    }
}

/// Does it all with so many runs at once, and returns what is wrong.
pub(crate) async fn try_all(extent: Extent, at_once: usize) -> Vec<String> {
    let began = Instant::now();
    let cluster = Cluster::shared();
    let sites = sites(&cluster, at_once).await;
    let mut wrong = vec![];
    let undisturbed = references(extent).into_iter().map(|course| (course, None));
    let mut findings = Findings::default();
    let known = if extent == Extent::Sample { [changes(), decisions()].concat() } else { vec![] };
    findings.expect(&known);
    let (sites, first) = play(sites, undisturbed.chain(known.into_iter().map(ordered)).collect()).await;
    let mut cells = vec![];
    for (course, report) in
        first.iter().filter_map(|((course, cell), report)| cell.is_none().then_some((course, report)))
    {
        cells.extend(cells_of(course, &report.trace));
    }
    let cells: Vec<Cell> = match extent {
        Extent::Sample => sample(cells),
        Extent::Full => cells.into_iter().map(|(_, cell)| cell).collect(),
    };
    findings.expect(&cells);
    let (_, second) = play_until(deadline(began), sites, spread(&cells).map(ordered).collect()).await;
    for (((class, scenario), cell), report) in first.iter().chain(&second) {
        let run = match cell {
            Some(cell) => format!("GRID_ONE=\"{cell}\" cargo test --test crash_grid one"),
            None => format!("{class} {scenario}, undisturbed"),
        };
        findings.add(cell.as_ref(), report);
        if !report.violations.is_empty() {
            wrong.push(format!("{run}:\n{}\n{}", told(&report.violations), report.log));
        }
    }
    findings.note(began.elapsed());
    wrong
}

/// Nothing new is begun later.
pub(crate) fn deadline(began: Instant) -> Instant {
    began + Duration::from_secs(scale("GRID_SECONDS", 24 * 60 * 60))
}

type Ordered = (Course, Option<Cell>);

fn ordered(cell: Cell) -> Ordered {
    ((cell.class.clone(), cell.scenario), Some(cell))
}

/// In an order in which any beginning has something of everything.
pub(crate) fn spread<T: Clone>(cells: &[T]) -> impl Iterator<Item = T> {
    const STEP: usize = 61;
    let count = cells.len();
    (0..STEP).flat_map(move |first| (first..count).step_by(STEP)).map(|place| cells[place].clone())
}

async fn play(sites: Vec<Site>, runs: Vec<Ordered>) -> (Vec<Site>, Vec<(Ordered, Report)>) {
    play_until(Instant::now() + Duration::from_secs(24 * 60 * 60), sites, runs).await
}

/// Every site takes what is next until nothing is left, or the time is over.
async fn play_until(
    last: Instant,
    sites: Vec<Site>,
    runs: Vec<Ordered>,
) -> (Vec<Site>, Vec<(Ordered, Report)>) {
    let (left, reports) = (Mutex::new(VecDeque::from(runs)), Mutex::new(vec![]));
    let work = async |mut site: Site| {
        loop {
            let next = left.lock().unwrap().pop_front().filter(|_| Instant::now() < last);
            let Some(run) = next else { return site };
            let ((class, scenario), cell) = &run;
            let trap = cell.as_ref().map(|cell| (cell.at.clone(), cell.fault));
            let report = site.play(&named(class), *scenario, trap).await;
            if std::env::var_os("GRID_SHOW").is_some() {
                let shown = cell.as_ref().map_or_else(|| format!("{class} {scenario}"), ToString::to_string);
                let Report { took, hit, is_indeterminate, violations, .. } = &report;
                println!(
                    "{took:>6.1?} hit {hit} indeterminate {is_indeterminate} {} {shown}",
                    violations.len()
                );
            }
            reports.lock().unwrap().push((run, report));
        }
    };
    let sites = futures::future::join_all(sites.into_iter().map(work)).await;
    (sites, reports.into_inner().unwrap())
}

/// One run alone, with everything that passed.
pub(crate) async fn try_one(cell: &Cell) {
    let cluster = Cluster::shared();
    let mut site = sites(&cluster, 1).await.remove(0);
    let report = site.play(&named(&cell.class), cell.scenario, Some((cell.at.clone(), cell.fault))).await;
    for (at, effect) in &report.trace {
        println!("{effect:?} {} {}", at.nth, at.call);
    }
    println!("hit: {}, Indeterminate: {}, took {:.1?}", report.hit, report.is_indeterminate, report.took);
    assert!(report.violations.is_empty(), "{}\n{}", told(&report.violations), report.log);
}

/// What the environment asks for.
pub(crate) fn extent() -> Extent {
    scale("GRID", Extent::Sample)
}
