//! Where a person reads and answers.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::{
    api::{Decision, ProxmoxActionApprovalSpec, Risk},
    cli::render::{Look, Tone, printable},
};

use super::exit::{Exit, Stopped};

/// The stream that a person reads: standard output, unless a program reads that one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Person {
    AtOutput,
    AtError,
}

impl Person {
    pub(super) fn look(self) -> Look {
        match self {
            Self::AtOutput => Look::of(&io::stdout()),
            Self::AtError => Look::of(&io::stderr()),
        }
    }

    pub(super) fn is_told(self, text: &str) -> Result<(), Stopped> {
        match self {
            Self::AtOutput => writeln!(io::stdout(), "{text}")?,
            Self::AtError => writeln!(io::stderr(), "{text}")?,
        }
        Ok(())
    }

    pub(super) fn is_warned(self, text: &str) -> Result<(), Stopped> {
        self.is_told(&self.look().dressed(Tone::Alarm, &format!("note: {}", printable(text))))
    }

    /// Fails if nobody would see the plan or could answer.
    pub(super) fn is_there(self) -> Result<(), Stopped> {
        let reads = match self {
            Self::AtOutput => io::stdout().is_terminal(),
            Self::AtError => io::stderr().is_terminal(),
        };
        let lacking = match (io::stdin().is_terminal(), reads) {
            (true, true) => return Ok(()),
            (false, _) => "standard input is",
            (true, false) => "where the plan is shown is",
        };
        Err(Stopped::new(
            Exit::NotConfirmed,
            format!(
                "there is nobody to ask: {lacking} no terminal. Give --yes to decide without being asked"
            ),
        ))
    }

    pub(super) fn confirms(self, approval: &ProxmoxActionApprovalSpec) -> Result<bool, Stopped> {
        let verb = if approval.decision == Decision::Deny { "Deny" } else { "Approve" };
        let word = word(approval);
        let question = format!("{verb} this as {}? Type {word}: ", printable(&approval.approved_by));
        match self {
            Self::AtOutput => ask(&question, &mut io::stdout())?,
            Self::AtError => ask(&question, &mut io::stderr())?,
        }
        let mut answer = String::new();
        if io::stdin().lock().read_line(&mut answer)? == 0 {
            self.is_told("")?;
        }
        Ok(answer.trim() == word)
    }
}

fn ask(question: &str, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{question}")?;
    out.flush()
}

/// What has to be typed. What is lost for good, or done twice, takes more than a reflex.
fn word(approval: &ProxmoxActionApprovalSpec) -> &str {
    let takes_more = approval.risk == Risk::Critical || approval.attempt.is_some();
    if approval.decision == Decision::Approve && takes_more { &approval.plan_ref.name } else { "yes" }
}
