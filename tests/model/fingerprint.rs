//! A situation in 128 bits. Two of some hundred million share theirs with a probability below 10^-20.

use std::hash::{Hash, Hasher};

use crate::world::World;

#[derive(Debug, Default)]
struct Mixer {
    low: u64,
    high: u64,
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        self.low = (self.low ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.high = (self.high.rotate_left(23) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ self.low >> 32;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(value.into());
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.low
    }
}

pub(crate) fn fingerprint(world: &World) -> u128 {
    let mut mixer = Mixer::default();
    world.hash(&mut mixer);
    u128::from(mixer.low ^ mixer.low >> 31) << 64 | u128::from(mixer.high ^ mixer.high >> 29)
}

/// A fingerprint is as good as a hash.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are hashed so");
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
