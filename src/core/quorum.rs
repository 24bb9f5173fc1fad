//! Votes: whether the cluster can still decide when a node is down.

use super::observe::Nodes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Votes {
    pub left: u32,
    pub all: u32,
}

impl Votes {
    /// More than half.
    pub fn quorate(self) -> bool {
        self.left >= self.needed()
    }

    pub fn needed(self) -> u32 {
        self.all / 2 + 1
    }
}

/// The votes that are left when this node goes; `None` where there is no cluster.
pub fn left_without(name: &str, nodes: &Nodes) -> Option<Votes> {
    let votes = |of: &dyn Fn(&str, bool) -> bool| {
        let counted = nodes.nodes.iter().filter(|node| of(&node.name, node.online)).map(|node| node.votes);
        counted.fold(0, u32::saturating_add)
    };
    nodes
        .is_cluster
        .then(|| Votes { left: votes(&|node, online| online && node != name), all: votes(&|_, _| true) })
}
