//! Labelled lines in two columns, in groups, for a terminal or a pipe.

use std::{
    env,
    io::IsTerminal,
    os::fd::{AsFd, BorrowedFd},
};

use super::printable::{printable, wrapped};
use crate::api::Risk;

/// How wide lines may become, and whether they have colours.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Look {
    pub(super) columns: usize,
    pub(super) coloured: bool,
}

/// Longer lines are hard to read, and a narrower terminal is not worth caring for.
const COLUMNS: std::ops::RangeInclusive<usize> = 40..=80;

impl Look {
    pub(in crate::cli) const PLAIN: Self = Self { columns: *COLUMNS.end(), coloured: false };

    /// What suits a stream: colours are for a terminal only, and for nobody who has set NO_COLOR.
    pub(in crate::cli) fn of(stream: &(impl AsFd + IsTerminal)) -> Self {
        if !stream.is_terminal() {
            return Self::PLAIN;
        }
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { columns: columns_of_terminal(stream.as_fd()), coloured: !is_set("NO_COLOR") && !is_dumb }
    }

    pub(in crate::cli) fn dressed(self, tone: Tone, text: &str) -> String {
        let codes = match tone {
            Tone::Plain => "",
            Tone::Quiet => "2",
            Tone::Strong => "1",
            Tone::Caution => "33",
            Tone::Alarm => "1;31",
        };
        if self.coloured && !codes.is_empty() {
            format!("\u{1b}[{codes}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

fn columns_of_terminal(terminal: BorrowedFd<'_>) -> usize {
    let size = rustix::termios::tcgetwinsize(terminal).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    columns.map_or(*COLUMNS.end(), |columns| columns.clamp(*COLUMNS.start(), *COLUMNS.end()))
}

/// How loud a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    Plain,
    Quiet,
    Strong,
    Caution,
    Alarm,
}

impl From<Risk> for Tone {
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Low => Self::Plain,
            Risk::Medium => Self::Caution,
            Risk::High | Risk::Critical => Self::Alarm,
        }
    }
}

/// Where labels end and texts begin.
const MARGIN: usize = 13;

pub(super) struct Paper {
    look: Look,
    lines: Vec<String>,
    /// A group is over: what comes next stands apart from it.
    apart: bool,
}

impl Paper {
    pub(super) fn new(look: Look) -> Self {
        Self { look, lines: Vec::new(), apart: false }
    }

    pub(super) fn title(&mut self, text: &str) {
        for line in wrapped(&printable(text), self.look.columns) {
            self.lines.push(self.look.dressed(Tone::Strong, &line));
        }
    }

    /// What is said next stands apart from what was said before.
    pub(super) fn next_group(&mut self) {
        self.apart = true;
    }

    pub(super) fn say(&mut self, label: &str, text: &str) {
        self.say_in(Tone::Plain, label, text);
    }

    /// Nothing, if the text is empty. Longer ones go on below their own beginning: no line starts with what somebody
    /// else has written.
    pub(super) fn say_in(&mut self, tone: Tone, label: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.apart) {
            self.lines.push(String::new());
        }
        let mut label = format!("  {label:<width$} ", width = MARGIN - 3);
        for line in wrapped(&printable(text), self.look.columns - MARGIN) {
            let said = format!(
                "{}{}",
                self.look.dressed(Tone::Quiet, &label),
                self.look.dressed(tone, line.trim_end())
            );
            self.lines.push(said.trim_end().to_owned());
            label = " ".repeat(MARGIN);
        }
    }

    /// On one line, to be copied from it.
    pub(super) fn say_whole(&mut self, label: &str, text: &str) {
        if !text.is_empty() {
            self.lines.push(format!(
                "{}{}",
                self.look.dressed(Tone::Quiet, &format!("  {label}  ")),
                printable(text)
            ));
        }
    }

    pub(super) fn text(self) -> String {
        self.lines.join("\n")
    }
}
