//! What the engine may change: the status, and whether a plan is held.

use std::sync::Arc;

use serde_json::Value;

use super::{
    contents::{Contents, Entry, Found},
    document::Id,
    object::Object,
};
use crate::ports::StoreError;

/// Which object, and as of when the writer knows it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: Id,
    pub(super) uid: String,
    pub(super) version: String,
}

impl Contents {
    /// The object if it is still the one that the writer has read.
    fn current(&mut self, known: &Known) -> Result<Entry, StoreError> {
        self.refresh()?;
        let object = known.id.to_string();
        match (self.find(&known.id), self.objects.get(&known.id)) {
            (Found::Object(found), Some(entry)) if found.uid() == known.uid => {
                if found.version() == known.version {
                    Ok(entry.clone())
                } else {
                    Err(StoreError::Conflict { object })
                }
            }
            (Found::Malformed(why), _) => Err(StoreError::Malformed { object, why }),
            _ => Err(StoreError::Gone { object }),
        }
    }

    pub(super) fn replace_status(
        &mut self,
        known: &Known,
        status: Option<Value>,
    ) -> Result<Arc<Object>, StoreError> {
        let mut entry = self.current(known)?;
        let refused = |why| StoreError::Refused { object: known.id.to_string(), why };
        let definition =
            self.kinds.find(&known.id.kind).ok_or_else(|| refused("its kind is not known".to_owned()))?;
        let mut wanted = Object::clone(&entry.object);
        wanted.status = status;
        let mut shown = wanted.shown();
        definition.tidy(&mut shown);
        wanted.status = shown.get("status").cloned();
        if wanted.status == entry.object.status {
            return Ok(entry.object);
        }
        definition.check_change(&shown, &entry.object.shown()).map_err(refused)?;
        // Nobody can be kept from deleting a file, and here it costs nothing to hold a plan from the beginning.
        if wanted.is_being_carried_out() && !wanted.is_held() {
            wanted.hold();
        }
        wanted.metadata.resource_version = Some(self.new_version().to_string());
        entry.object = Arc::new(wanted);
        self.keep(entry.clone())?;
        Ok(entry.object)
    }

    pub(super) fn hold(&mut self, known: &Known) -> Result<Arc<Object>, StoreError> {
        let mut entry = self.current(known)?;
        if !entry.object.is_held() {
            let version = self.new_version();
            let object = Arc::make_mut(&mut entry.object);
            object.hold();
            object.metadata.resource_version = Some(version.to_string());
            self.keep(entry.clone())?;
        }
        Ok(entry.object)
    }

    pub(super) fn release(&mut self, known: &Known) -> Result<Arc<Object>, StoreError> {
        let mut entry = self.current(known)?;
        if entry.object.is_held() {
            let version = self.new_version();
            let object = Arc::make_mut(&mut entry.object);
            object.metadata.finalizers = None;
            object.metadata.resource_version = Some(version.to_string());
            self.keep(entry.clone())?;
            if entry.object.is_going() {
                self.bury(&known.id)?;
            }
        }
        Ok(entry.object)
    }
}
