//! A program at a terminal, with somebody who reads and types.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::patience::PATIENCE;

pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts the program with all three of its streams on a new terminal.
    pub(crate) fn with(mut command: Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let path = ptsname(&keyboard, Vec::new()).unwrap().into_string().unwrap();
        let stream = || File::options().read(true).write(true).open(&path).unwrap();
        command.stdin(stream()).stdout(stream()).stderr(stream());
        if !command.get_envs().any(|(name, _)| name == "NO_COLOR") {
            command.env("TERM", "xterm").env_remove("NO_COLOR");
        }
        let child = command.spawn().unwrap();
        // It holds the program's streams too: as long as one is open, the screen does not end.
        drop(command);
        let keyboard = File::from(keyboard);
        let screen = watch(keyboard.try_clone().unwrap());
        Self { child, keyboard, screen, seen: vec![] }
    }

    /// Waits until this is on the screen.
    pub(crate) fn shows(&mut self, text: &str) {
        while !self.text().contains(text) {
            let Ok(more) = self.screen.recv_timeout(PATIENCE) else {
                panic!("`{text}` does not come up, but\n{}", self.text());
            };
            self.seen.extend(more);
        }
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The exit code, and everything that was on the screen.
    pub(crate) fn ends(mut self) -> (i32, String) {
        while let Ok(more) = self.screen.recv_timeout(PATIENCE) {
            self.seen.extend(more);
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (code, self.text())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until the program has closed its streams.
fn watch(mut screen: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            if sender.send(piece[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}
