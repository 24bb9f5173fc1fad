//! Files that come to a storage from outside: uploads and downloads.
use super::Route;
use super::volumes::{add, arriving};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask, Run};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::{Download, Volume};

pub(super) const ROUTES: &[Route] = &[
    ("POST", "/nodes/{node}/storage/{storage}/upload", upload),
    ("POST", "/nodes/{node}/storage/{storage}/download-url", download),
];

/// The id of an upload's task is empty.
fn upload(call: &mut Call<'_>) -> Answer {
    let (node, name) = (call.node().to_owned(), call.text("storage").to_owned());
    let (content, file) = (call.text("content").to_owned(), call.text("filename").to_owned());
    let size: u64 = call.parameters.upload_size.unwrap_or_default();
    let storage = disks::available(call.state, &node, &name).map_err(Refusal::Failed)?;
    let home = (!storage.is_shared()).then(|| node.clone());
    let target = disks::volume_path(storage, &format!("{name}:{content}/{file}"));
    let temporary = format!("/var/tmp/pveupload-{}", uuid::Uuid::new_v4().simple());
    let new = NewTask::other(&node.clone(), "imgcopy", String::new(), &call.caller.id(), move |run| {
        run.say(format!("starting file import from: {temporary}"));
        run.say(format!("target node: {node}"));
        run.say(format!("target file: {target}"));
        run.say(format!("file size is: {size}"));
        run.say(format!("command: cp -- {temporary} {target}"));
        let volume = arriving(&name, &content, &file, size, run.state.clock.seconds());
        add(run.state, &name, Volume { node: home, ..volume });
        run.say("finished file import successfully");
        Ok(())
    });
    call.fork(new)
}

/// How large an unknown file is.
const USUAL_SIZE: u64 = 1 << 20;

#[derive(Debug)]
struct Order {
    node: String,
    storage: String,
    shared: bool,
    content: String,
    file: String,
    url: String,
    checksum: Option<String>,
}

impl Order {
    fn volid(&self) -> String {
        format!("{}:{}/{}", self.storage, self.content, self.file)
    }
}

/// Nothing is fetched: the world says what an address would give.
fn download(call: &mut Call<'_>) -> Answer {
    let storage = disks::available(call.state, call.node(), call.text("storage")).map_err(Refusal::Failed)?;
    let content = call.text("content").to_owned();
    if storage.text("path").is_none() {
        let kind = storage.kind();
        return refuse(format!("can't upload to storage type '{kind}', not a file based storage!"));
    }
    if !disks::content_types(storage).contains(&content.as_str()) {
        let name = call.text("storage");
        return refuse(format!("storage '{name}' is not configured for content-type '{content}'"));
    }
    demand_extension(&content, call.text("filename"))?;
    let order = Order {
        node: call.node().to_owned(),
        storage: call.text("storage").to_owned(),
        shared: storage.is_shared(),
        content,
        file: call.text("filename").to_owned(),
        url: call.text("url").to_owned(),
        checksum: call.parameters.text("checksum").map(str::to_lowercase),
    };
    let id = order.file.clone();
    let new =
        NewTask::other(&order.node.clone(), "download", id, &call.caller.id(), move |run| fetch(run, &order));
    call.fork(new)
}

fn demand_extension(content: &str, file: &str) -> Result<(), Refusal> {
    let (endings, problem): (&[&str], &str) = match content {
        "iso" => (&[".iso", ".img"], "wrong file extension"),
        "vztmpl" => (&[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar"], "wrong file extension"),
        _ => (&[".ova", ".qcow2", ".raw", ".vmdk"], "invalid filename or wrong extension"),
    };
    if endings.iter().any(|ending| file.to_lowercase().ends_with(ending)) {
        Ok(())
    } else {
        Err(Refusal::parameter("filename", problem))
    }
}

fn fetch(run: &mut Run<'_>, order: &Order) -> Result<(), String> {
    let Order { node, storage, content, file, url, checksum, shared } = order;
    let target = disks::path_of(run.state, &order.volid());
    run.say(format!("downloading {url} to {target}"));
    let known = run.state.world.downloads.get(url).cloned();
    let genuine = known.as_ref().and_then(|known| known.checksum.as_deref()).map(str::to_lowercase);
    let mismatch = match (&genuine, checksum) {
        (Some(got), Some(wanted)) if got != wanted => {
            Some(format!("checksum mismatch: got '{got}' != expect '{wanted}'"))
        }
        _ => None,
    };
    if disks::find(run.state, node, &order.volid()).is_some() {
        return match (checksum, mismatch) {
            (None, _) => Err(format!("refusing to override existing file '{target}'")),
            (Some(_), Some(mismatch)) => Err(format!("{mismatch}, aborting")),
            (Some(_), None) => {
                run.say("calculating checksum of existing file...OK, got correct file already, no need to download");
                Ok(())
            }
        };
    }
    demand_reachable(run, url, known.as_ref())?;
    if let Some(mismatch) = mismatch {
        return Err(mismatch);
    }
    if checksum.is_some() {
        run.say("calculating checksum...OK, checksum verified");
    }
    let size = known.and_then(|known| known.size).unwrap_or(USUAL_SIZE);
    let volume = arriving(storage, content, file, size, run.state.clock.seconds());
    let home = (!shared).then(|| node.clone());
    add(run.state, storage, Volume { node: home, ..volume });
    run.say(format!("download of '{url}' to '{target}' finished"));
    Ok(())
}

/// On this machine nothing listens, unless the world says so.
fn demand_reachable(run: &mut Run<'_>, url: &str, known: Option<&Download>) -> Result<(), String> {
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if known.is_none() && (host.starts_with("127.") || host.starts_with("localhost")) {
        let stamp = run.state.clock.now().strftime("%F %T").to_string();
        run.say(format!("--{stamp}--  {url}"));
        return Err(format!("download failed: Connecting to {host}... failed: Connection refused."));
    }
    Ok(())
}
