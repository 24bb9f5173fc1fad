//! One request in the hands of its handler.
use super::{NewTask, Run, State};
use crate::pve::sim::access::{Caller, Rights};
use crate::pve::sim::contract::{Operation, Parameters};
use crate::pve::sim::http::{Answer, Refusal, Reply};
use crate::pve::sim::world::{Guest, GuestType};

#[derive(Debug)]
pub(in crate::pve::sim) struct Call<'a> {
    pub(in crate::pve::sim) state: &'a mut State,
    pub(in crate::pve::sim) caller: &'a Caller,
    pub(in crate::pve::sim) parameters: &'a Parameters,
    pub(in crate::pve::sim) operation: &'a Operation,
}

impl Call<'_> {
    pub(in crate::pve::sim) fn text(&self, name: &str) -> &str {
        self.parameters.demanded(name)
    }

    pub(in crate::pve::sim) fn node(&self) -> &str {
        self.text("node")
    }

    pub(in crate::pve::sim) fn vmid(&self) -> u32 {
        self.parameters.vmid()
    }

    /// The type of guest that the path speaks of.
    pub(in crate::pve::sim) fn guest_type(&self) -> GuestType {
        if self.operation.path.contains("/lxc") { GuestType::Lxc } else { GuestType::Qemu }
    }

    pub(in crate::pve::sim) fn rights(&self) -> Rights<'_> {
        Rights::new(&self.state.world, self.caller)
    }

    pub(in crate::pve::sim) fn has(&self, path: &str, privilege: &str) -> bool {
        self.rights().has(path, privilege)
    }

    pub(in crate::pve::sim) fn demand(&self, path: &str, privilege: &str) -> Result<(), Refusal> {
        if self.has(path, privilege) { Ok(()) } else { Err(Refusal::privilege(path, privilege)) }
    }

    pub(in crate::pve::sim) fn guest(&self) -> Result<&Guest, Refusal> {
        self.state.guest(self.node(), self.guest_type(), self.vmid()).map_err(Refusal::Failed)
    }

    pub(in crate::pve::sim) fn guest_mut(&mut self) -> Result<&mut Guest, Refusal> {
        let (node, kind, vmid) = (self.node().to_owned(), self.guest_type(), self.vmid());
        self.state.guest_mut(&node, kind, vmid).map_err(Refusal::Failed)
    }

    /// Synchronous changes of a guest wait for the workers that hold its lock.
    pub(in crate::pve::sim) fn demand_free_guest(&self) -> Result<(), Refusal> {
        match self.state.guest_free_at(self.vmid()) {
            None => Ok(()),
            Some(_) => Err(Refusal::GuestBusy { vmid: self.vmid() }),
        }
    }

    /// A task about the guest that the path names.
    pub(in crate::pve::sim) fn guest_task(
        &self,
        kind: &'static str,
        work: impl FnOnce(&mut Run<'_>) -> Result<(), String> + Send + 'static,
    ) -> NewTask {
        NewTask::guest(self.node(), kind, self.vmid(), &self.caller.id(), work)
    }

    pub(in crate::pve::sim) fn fork(&mut self, new: NewTask) -> Answer {
        Ok(Reply::Task(self.state.fork(new)))
    }
}
