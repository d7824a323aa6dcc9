//! The groups of a stream by name.

use super::group::Group;
use crate::ds::shared::make_mut;
use std::collections::BTreeMap;
use triomphe::Arc;

type ByName = BTreeMap<Box<[u8]>, Arc<Group>>;

/// Groups by name. A clone shares all of them.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Most streams have none.
    by_name: Option<Arc<ByName>>,
}

impl Groups {
    /// Returns the number of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.as_ref().map_or(0, |groups| groups.len())
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The group of this name.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Group> {
        self.by_name.as_ref()?.get(name).map(|group| &**group)
    }

    /// The same to change it, copied first if a snapshot holds it.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.get(name)?;
        self.all_mut().get_mut(name).map(|group| make_mut(group, Group::clone_bytes))
    }

    /// All groups by name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        self.by_name.iter().flat_map(|groups| groups.iter()).map(|(name, group)| (&**name, &**group))
    }

    /// Adds a group. Returns false when there is one of this name.
    pub fn add(&mut self, name: &[u8], group: Group) -> bool {
        if self.get(name).is_some() {
            return false;
        }
        self.all_mut().insert(name.into(), Arc::new(group));
        true
    }

    /// Takes the group of this name out, with all that is pending.
    pub fn take(&mut self, name: &[u8]) -> Option<Groups> {
        self.get(name)?;
        let taken = self.all_mut().remove_entry(name)?;
        Some(Groups { by_name: Some(Arc::new(ByName::from([taken]))) })
    }

    fn all_mut(&mut self) -> &mut ByName {
        let groups = self.by_name.get_or_insert_default();
        make_mut(groups, |groups| groups.len() * (size_of::<Box<[u8]>>() + size_of::<Arc<Group>>()))
    }

    /// Bytes allocated, extrapolated where pending entries are very many.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let each = |(name, group): (&[u8], &Group)| {
            name.len()
                + size_of::<Box<[u8]>>()
                + size_of::<Arc<Group>>()
                + size_of::<Group>()
                + group.heap_bytes()
        };
        self.iter().map(each).sum()
    }
}
