//! Secrets as files: `<dir>/<namespace>/<name>/<key>`.
//!
//! One layout everywhere, so that no name can be taken for a namespace: the token of environment `home` whose
//! `credentials.secretRef.name` is `pve-home` lies in `<dir>/default/pve-home/token`. Each environment names a folder
//! of its own, and nothing leads from one folder into another. A mounted Kubernetes Secret looks the same inside.

use std::{
    fs::{self, File, Metadata},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use futures::{FutureExt, future::BoxFuture};
use secrecy::SecretString;

use crate::{
    api::SecretKeyRef,
    ports::{SecretError, Secrets},
};

/// A token has about 80 bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// Reads each secret when it is asked for, so that a new token needs no restart.
#[derive(Clone, Debug)]
pub struct MountedSecrets {
    dir: PathBuf,
}

impl MountedSecrets {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }
}

impl Secrets for MountedSecrets {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        let (dir, parts) =
            (self.dir.clone(), [namespace, &reference.name, &reference.key].map(str::to_owned));
        async move {
            let why = match tokio::task::spawn_blocking(move || read(&dir, &parts)).await {
                Ok(Ok(secret)) => return Ok(secret),
                Ok(Err(why)) => why,
                Err(error) => error.to_string(),
            };
            Err(SecretError {
                secret: format!("{namespace}/{}", reference.name),
                key: reference.key.clone(),
                why,
            })
        }
        .boxed()
    }
}

fn read(dir: &Path, parts: &[String; 3]) -> Result<SecretString, String> {
    let [namespace, name, key] = parts;
    if let Some(part) = parts.iter().find(|part| !is_a_name(part)) {
        return Err(format!("`{}` is not the name of a file", part.chars().take(64).collect::<String>()));
    }
    let folder = dir.join(namespace).join(name);
    let path = folder.join(key);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    // Kubernetes mounts keys as links within the folder; a link out of it would lend one environment the token of
    // another.
    let target = fs::canonicalize(&path).map_err(failed)?;
    if !target.starts_with(fs::canonicalize(&folder).map_err(failed)?) {
        return Err(format!(
            "{} is a link that leads out of its folder: put the file itself there",
            path.display()
        ));
    }
    // Before opening: opening a pipe would wait for its writer.
    check(&path, &fs::metadata(&target).map_err(failed)?)?;
    let file = File::open(&target).map_err(failed)?;
    check(&path, &file.metadata().map_err(failed)?)?;
    let mut secret = String::new();
    file.take(MAX_SECRET).read_to_string(&mut secret).map_err(failed)?;
    if secret.ends_with('\n') {
        secret.pop();
    }
    if secret.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(SecretString::from(secret))
}

fn is_a_name(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !part.is_empty() && part.len() <= 253 && part.bytes().all(plain) && !part.starts_with("..") && part != "."
}

fn check(path: &Path, meta: &Metadata) -> Result<(), String> {
    let path = path.display();
    if !meta.is_file() {
        return Err(format!("{path} is not a regular file"));
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("{path} is open to others (mode {mode:o}): run `chmod 600 {path}`"));
    }
    if meta.len() > MAX_SECRET {
        return Err(format!("{path} is {} bytes long, at most {MAX_SECRET} are read", meta.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use secrecy::ExposeSecret;
    use tempfile::TempDir;

    use super::*;

    fn put(dir: &TempDir, place: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    async fn ask(dir: &TempDir, namespace: &str, name: &str, key: &str) -> Result<String, String> {
        let reference = SecretKeyRef { name: name.to_owned(), key: key.to_owned() };
        let secrets = MountedSecrets::new(dir.path().to_owned());
        let read = secrets.read(namespace, &reference).await;
        read.map(|secret| secret.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_secret_is_read_without_its_last_newline_only() {
        let dir = TempDir::new().unwrap();
        put(&dir, "default/pve/token", b"root@pam!a=b\n\n", 0o600);
        assert_eq!(ask(&dir, "default", "pve", "token").await.unwrap(), "root@pam!a=b\n");
    }

    #[tokio::test]
    async fn a_secret_that_others_can_read_is_refused() {
        let dir = TempDir::new().unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            put(&dir, "default/pve/token", b"canary-7f3a", mode);
            let why = ask(&dir, "default", "pve", "token").await.unwrap_err();
            assert!(why.contains("chmod 600") && why.contains("default/pve/token"), "{why}");
            assert!(!why.contains("canary-7f3a"));
        }
    }

    #[tokio::test]
    async fn no_name_leads_out_of_its_folder() {
        let dir = TempDir::new().unwrap();
        put(&dir, "default/mine/token", b"a", 0o600);
        let other = put(&dir, "default/other/token", b"b", 0o600);
        symlink(&other, dir.path().join("default/mine/link")).unwrap();
        symlink("../other", dir.path().join("default/mine/up")).unwrap();
        for key in ["../other/token", "..", ".", "", "up/token", "link", "/etc/hostname", "a\0b", "..data"] {
            assert!(ask(&dir, "default", "mine", key).await.is_err(), "{key:?}");
        }
        assert!(ask(&dir, "..", "mine", "token").await.is_err());
        assert!(ask(&dir, "default", "../default/other", "token").await.is_err());
    }

    #[tokio::test]
    async fn a_mounted_kubernetes_secret_is_read_through_its_links() {
        let dir = TempDir::new().unwrap();
        put(&dir, "default/pve/..2026_01_01/token", b"a", 0o400);
        symlink("..2026_01_01", dir.path().join("default/pve/..data")).unwrap();
        symlink("..data/token", dir.path().join("default/pve/token")).unwrap();
        assert_eq!(ask(&dir, "default", "pve", "token").await.unwrap(), "a");
    }

    #[tokio::test]
    async fn what_can_be_no_token_is_refused_and_not_shown() {
        let dir = TempDir::new().unwrap();
        for content in [&b"\n"[..], b"", b"canary\xff", &[b'x'; 70_000]] {
            put(&dir, "default/pve/token", content, 0o600);
            let why = ask(&dir, "default", "pve", "token").await.unwrap_err();
            assert!(
                why.contains("default/pve/token") && !why.contains("canary") && !why.contains("xxx"),
                "{why}"
            );
        }
        fs::create_dir_all(dir.path().join("default/pve/folder")).unwrap();
        assert!(ask(&dir, "default", "pve", "folder").await.unwrap_err().contains("not a regular file"));
        assert!(ask(&dir, "default", "pve", "none").await.is_err());
    }
}
