//! A tree of shared leaves that finds and changes by position: what
//! [`ChunkList`](super::chunk_list) and [`ScoreTree`](super::score_tree) have in common.
//!
//! It is a B+tree whose branches know, for each child, how many elements lie below it (so positions
//! and ranks cost one descent) and a [`Leaf::Mark`], a copyable summary of the child's first
//! element (so a search by order stays inside the branches unless marks tie). Leaves are chunks of
//! packed elements; what a chunk is, when it is full and how it is split are the leaf type's
//! business: an edit hands its owner the row of [`Siblings`] the leaf stands in.
//!
//! Leaves and branches sit behind counted references and are copied only while shared. **A clone is
//! a snapshot**: it costs one reference per child of the root, and a later change copies one path.
//! The root's own row is not behind a reference, so a container of one leaf is two small
//! allocations.
//!
//! Not std's BTreeMap: it neither counts, nor shares, nor packs. Iterators keep no stack; they
//! descend again for every leaf, which hundreds of elements per leaf pay for.

use triomphe::Arc;

use super::shared::make_mut;

/// The most children of a branch.
const MAX_CHILDREN: usize = 64;
/// A branch smaller than this looks for a neighbour to merge with.
const FEW_CHILDREN: usize = MAX_CHILDREN / 4;
/// Leaves that [`CountedTree::heap_bytes`] looks at before it extrapolates.
const SAMPLED_LEAVES: usize = 1000;

/// A chunk of elements.
pub(crate) trait Leaf: Clone {
    /// Summary of the first element, kept in the branches.
    type Mark: Copy;
    /// The limits that decide if a chunk is full.
    type Limits: Copy;

    /// Number of elements; cheap.
    fn len(&self) -> usize;
    /// Summary of the first element of a leaf that has one.
    fn mark(&self) -> Self::Mark;
    /// True when this leaf and its successor should become one. Both are re-fillable: a merged leaf
    /// must leave room, or removals and insertions at one place would merge and split for ever.
    fn should_merge(&self, next: &Self, limits: Self::Limits) -> bool;
    /// Takes over all elements of its successor.
    fn append(&mut self, next: &Self);
    /// Removes `count` elements from `start` on; both are in range.
    fn remove_range(&mut self, start: usize, count: usize);
    /// Bytes allocated besides the leaf itself.
    fn heap_bytes(&self) -> usize;
    /// Bytes of those that a clone copies.
    fn clone_bytes(&self) -> usize {
        self.heap_bytes()
    }
}

/// The choice among the children of a branch in a descent.
pub(crate) trait Locate<L: Leaf> {
    /// The child to go down into. `children` is not empty; `total` is the number of elements below
    /// them.
    fn pick(&mut self, children: &[Child<L>], total: u64) -> usize;
}

/// Descends to a position; afterwards holds the position within the leaf. The position one past the
/// end leads to the end of the last leaf.
pub(crate) struct ByPosition(pub(crate) u64);

/// Descends to the last leaf that begins at or before a mark, where marks are the keys of an
/// ordered sequence; before the first leaf begins, to the first. Afterwards knows how many elements
/// stand before that leaf.
pub(crate) struct ByMark<M> {
    mark: M,
    /// Elements before the leaf it leads to.
    pub(crate) before: u64,
}

impl<M> ByMark<M> {
    pub(crate) fn new(mark: M) -> Self {
        Self { mark, before: 0 }
    }
}

/// The same descent for whom it does not matter what stands before: it looks at fewer children.
pub(crate) struct ToMark<M>(pub(crate) M);

/// Sequence of leaves; see the module's doc.
#[derive(Clone)]
pub(crate) struct CountedTree<L: Leaf> {
    root: Branch<L>,
    len: u64,
    /// Branch levels below the root; at 0 the root's children are leaves.
    height: u8,
    limits: L::Limits,
}

#[derive(Clone)]
struct Branch<L: Leaf> {
    children: Vec<Child<L>>,
}

/// A child of a branch, with what the branch knows of it.
#[derive(Clone)]
pub(crate) struct Child<L: Leaf> {
    node: Node<L>,
    count: u64,
    mark: L::Mark,
}

#[derive(Clone)]
enum Node<L: Leaf> {
    Leaf(Arc<L>),
    Branch(Arc<Branch<L>>),
}

impl<L: Leaf> CountedTree<L> {
    pub(crate) fn new(limits: L::Limits) -> Self {
        Self { root: Branch { children: Vec::new() }, len: 0, height: 0, limits }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn limits(&self) -> L::Limits {
        self.limits
    }

    /// The leaf that holds `position`, and the position within it.
    pub(crate) fn leaf_at(&self, position: u64) -> Option<(&L, usize)> {
        if position >= self.len {
            return None;
        }
        let mut at = ByPosition(position);
        let leaf = self.leaf(&mut at)?;
        Some((leaf, at.0 as usize))
    }

    /// The leaf a descent leads to; `None` when the tree is empty.
    pub(crate) fn leaf(&self, at: &mut impl Locate<L>) -> Option<&L> {
        if self.len == 0 {
            return None;
        }
        let (mut children, mut total) = (&self.root.children, self.len);
        loop {
            let child = &children[at.pick(children, total)];
            match &child.node {
                Node::Leaf(leaf) => return Some(leaf),
                Node::Branch(branch) => (children, total) = (&branch.children, child.count),
            }
        }
    }

    /// The leaves that several descents lead to. They go down side by side, so that the processor
    /// waits for the memory of all of them at once. The tree is not empty.
    pub(crate) fn leaves_at<const N: usize>(&self, mut at: [impl Locate<L>; N]) -> [&L; N] {
        let mut rows = [(&self.root.children, self.len); N];
        for _ in 0..self.height {
            for (row, at) in rows.iter_mut().zip(&mut at) {
                let child = &row.0[at.pick(row.0, row.1)];
                *row = (&child.branch().children, child.count);
            }
        }
        std::array::from_fn(|which| {
            let (children, total) = rows[which];
            children[at[which].pick(children, total)].leaf()
        })
    }

    /// All leaves in order.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &L> {
        let mut position = 0;
        std::iter::from_fn(move || {
            let (leaf, _) = self.leaf_at(position)?;
            position += leaf.len() as u64;
            Some(leaf)
        })
    }

    /// Number of leaves. Looks at every branch, not at the leaves.
    pub(crate) fn leaf_count(&self) -> usize {
        self.root.leaf_count()
    }

    /// Bytes allocated; exact for a thousand leaves, extrapolated from the first thousand beyond.
    pub(crate) fn heap_bytes(&self) -> usize {
        let (mut looked, mut elements, mut bytes) = (0, 0, 0);
        for leaf in self.leaves().take(SAMPLED_LEAVES) {
            looked += 1;
            elements += leaf.len() as u64;
            bytes += leaf.heap_bytes() + size_of::<L>() + size_of::<usize>() + size_of::<Child<L>>();
        }
        if looked < SAMPLED_LEAVES {
            return bytes;
        }
        (bytes as u128 * u128::from(self.len) / u128::from(elements)) as usize
    }

    /// Hands `change` the row of leaves the descent leads to, the place of the leaf in it, and the
    /// descent as it ended. In an empty tree the row is empty and the place is 0.
    pub(crate) fn edit<A: Locate<L>, R>(
        &mut self,
        at: A,
        change: impl FnOnce(&mut Siblings<'_, L>, usize, A) -> R,
    ) -> R {
        let (result, delta) = self.root.edit(self.height, self.len, at, change);
        self.len = self.len.wrapping_add_signed(delta);
        self.rebalance_root();
        result
    }

    /// Removes `count` elements from `start` on; what lies past the end is ignored.
    pub(crate) fn remove_range(&mut self, start: u64, count: u64) {
        let end = start.saturating_add(count).min(self.len);
        if start >= end {
            return;
        }
        self.root.remove_range(self.height, start, end, self.limits);
        self.len -= end - start;
        self.rebalance_root();
    }

    fn rebalance_root(&mut self) {
        if self.root.children.len() > MAX_CHILDREN {
            let left = std::mem::replace(&mut self.root, Branch { children: Vec::with_capacity(2) });
            self.root.children.push(left.into_child());
            self.root.split_child(0);
            self.height += 1;
        }
        while self.height > 0 && self.root.children.len() <= 1 {
            let Some(Child { node: Node::Branch(branch), .. }) = self.root.children.pop() else {
                self.height = 0;
                return;
            };
            self.root = Arc::unwrap_or_clone(branch);
            self.height -= 1;
        }
    }

    /// Panics unless counts, marks, heights and sizes are what they must be.
    #[cfg(test)]
    pub(crate) fn check(&self, same: &impl Fn(L::Mark, L::Mark) -> bool) {
        assert_eq!(self.root.check(self.height, same), self.len);
        assert!(self.height == 0 || self.root.children.len() > 1);
    }
}

impl<L: Leaf> Branch<L> {
    fn edit<A: Locate<L>, R>(
        &mut self,
        height: u8,
        total: u64,
        mut at: A,
        change: impl FnOnce(&mut Siblings<'_, L>, usize, A) -> R,
    ) -> (R, i64) {
        let index = if self.children.is_empty() { 0 } else { at.pick(&self.children, total) };
        if height == 0 {
            let mut siblings = Siblings { children: &mut self.children, delta: 0 };
            let result = change(&mut siblings, index, at);
            return (result, siblings.delta);
        }
        let child = &mut self.children[index];
        let count = child.count;
        let (result, delta) = child.branch_mut().edit(height - 1, count, at, change);
        child.count = count.wrapping_add_signed(delta);
        self.rebalance_child(index);
        (result, delta)
    }

    /// Removes the elements `start..end`, which is neither empty nor everything outside the root.
    fn remove_range(&mut self, height: u8, start: u64, end: u64, limits: L::Limits) {
        let (first, first_start) = self.child_at(start);
        let (last, last_start) = self.child_at(end - 1);
        let last_end = last_start + self.children[last].count;
        if first == last && (start > first_start || end < last_end) {
            self.children[first].remove_range(height, start - first_start, end - first_start, limits);
            return self.rebalance(first, height, limits);
        }
        let mut gone = first..last + 1;
        if start > first_start {
            let child = &mut self.children[first];
            child.remove_range(height, start - first_start, child.count, limits);
            gone.start += 1;
        }
        if end < last_end {
            self.children[last].remove_range(height, 0, end - last_start, limits);
            gone.end -= 1;
        }
        let seam = gone.start;
        self.children.drain(gone);
        if seam < self.children.len() {
            self.rebalance(seam, height, limits);
        }
        if seam > 0 {
            self.rebalance(seam - 1, height, limits);
        }
    }

    /// The child that holds `position`, and the position of its first element.
    fn child_at(&self, position: u64) -> (usize, u64) {
        let mut start = 0;
        for (index, child) in self.children.iter().enumerate() {
            if position < start + child.count {
                return (index, start);
            }
            start += child.count;
        }
        unreachable!("the caller checks positions against the count");
    }

    fn rebalance(&mut self, index: usize, height: u8, limits: L::Limits) {
        if height == 0 {
            Siblings { children: &mut self.children, delta: 0 }.rebalance(index, limits);
        } else {
            self.rebalance_child(index);
        }
    }

    /// Restores the shape after a change inside the branch at `index`.
    fn rebalance_child(&mut self, index: usize) {
        let size = self.children[index].branch().children.len();
        match size {
            0 => {
                self.children.remove(index);
                return;
            }
            1..FEW_CHILDREN => {
                if index + 1 < self.children.len() && self.merge_children(index) {
                    // The merged branch stands at `index`.
                } else if index > 0 && self.merge_children(index - 1) {
                    return;
                }
            }
            FEW_CHILDREN..=MAX_CHILDREN => {}
            _ => self.split_child(index),
        }
        let child = &mut self.children[index];
        child.mark = child.branch().children[0].mark;
    }

    /// Halves the branch at `index`; the last one leaves little to the right, as elements often
    /// ascend.
    fn split_child(&mut self, index: usize) {
        let last = index + 1 == self.children.len();
        let left = self.children[index].branch_mut();
        let size = left.children.len();
        let right = left.children.split_off(if last { size - size / 8 } else { size / 2 });
        left.children.shrink_to_fit();
        let right = Branch { children: right }.into_child();
        self.children[index].count -= right.count;
        insert_tight(&mut self.children, index + 1, right);
    }

    /// Joins the branches at `index` and after it, if the result is at most half full. Returns
    /// whether it did.
    fn merge_children(&mut self, index: usize) -> bool {
        let (left, right) = (&self.children[index], &self.children[index + 1]);
        if left.branch().children.len() + right.branch().children.len() > MAX_CHILDREN / 2 {
            return false;
        }
        let right = self.children.remove(index + 1);
        let left = &mut self.children[index];
        left.count += right.count;
        left.branch_mut().children.extend_from_slice(&right.branch().children);
        left.mark = left.branch().children[0].mark;
        true
    }

    fn into_child(self) -> Child<L> {
        let count = self.children.iter().map(|child| child.count).sum();
        Child { count, mark: self.children[0].mark, node: Node::Branch(Arc::new(self)) }
    }

    fn leaf_count(&self) -> usize {
        match self.children.first() {
            Some(Child { node: Node::Branch(_), .. }) => {
                self.children.iter().map(|child| child.branch().leaf_count()).sum()
            }
            _ => self.children.len(),
        }
    }

    #[cfg(test)]
    fn check(&self, height: u8, same: &impl Fn(L::Mark, L::Mark) -> bool) -> u64 {
        assert!(self.children.len() <= MAX_CHILDREN);
        for child in &self.children {
            assert!(child.count > 0);
            match &child.node {
                Node::Leaf(leaf) => {
                    assert_eq!((height, child.count), (0, leaf.len() as u64));
                    assert!(same(child.mark, leaf.mark()));
                }
                Node::Branch(branch) => {
                    assert_eq!(branch.check(height - 1, same), child.count);
                    assert!(same(child.mark, branch.children[0].mark));
                }
            }
        }
        self.children.iter().map(|child| child.count).sum()
    }
}

impl<L: Leaf> Child<L> {
    fn of_leaf(leaf: L) -> Self {
        Self { count: leaf.len() as u64, mark: leaf.mark(), node: Node::Leaf(Arc::new(leaf)) }
    }

    /// Number of elements below.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Summary of the first element below.
    pub(crate) fn mark(&self) -> L::Mark {
        self.mark
    }

    /// The leaf of the first element below.
    pub(crate) fn first_leaf(&self) -> &L {
        let mut child = self;
        loop {
            match &child.node {
                Node::Leaf(leaf) => return leaf,
                Node::Branch(branch) => child = &branch.children[0],
            }
        }
    }

    fn branch(&self) -> &Branch<L> {
        match &self.node {
            Node::Branch(branch) => branch,
            Node::Leaf(_) => unreachable!("the height says which children are branches"),
        }
    }

    fn branch_mut(&mut self) -> &mut Branch<L> {
        match &mut self.node {
            Node::Branch(branch) => make_mut(branch, |branch| branch.children.len() * size_of::<Child<L>>()),
            Node::Leaf(_) => unreachable!("the height says which children are branches"),
        }
    }

    fn leaf(&self) -> &L {
        match &self.node {
            Node::Leaf(leaf) => leaf,
            Node::Branch(_) => unreachable!("the height says which children are leaves"),
        }
    }

    fn leaf_mut(&mut self) -> &mut L {
        match &mut self.node {
            Node::Leaf(leaf) => make_mut(leaf, |leaf| size_of::<L>() + leaf.clone_bytes()),
            Node::Branch(_) => unreachable!("the height says which children are leaves"),
        }
    }

    /// Removes part of the elements below, not all.
    fn remove_range(&mut self, height: u8, start: u64, end: u64, limits: L::Limits) {
        if height == 0 {
            let leaf = self.leaf_mut();
            leaf.remove_range(start as usize, (end - start) as usize);
            self.mark = leaf.mark();
        } else {
            self.branch_mut().remove_range(height - 1, start, end, limits);
        }
        self.count -= end - start;
    }
}

impl<L: Leaf> Locate<L> for ByPosition {
    #[inline]
    fn pick(&mut self, children: &[Child<L>], total: u64) -> usize {
        let last = children.len() - 1;
        if self.0 > total / 2 {
            let mut start = total;
            for (index, child) in children.iter().enumerate().rev() {
                start -= child.count;
                if self.0 >= start {
                    self.0 -= start;
                    return index;
                }
            }
        }
        for (index, child) in children[..last].iter().enumerate() {
            if self.0 < child.count {
                return index;
            }
            self.0 -= child.count;
        }
        last
    }
}

impl<L: Leaf<Mark: Ord>> Locate<L> for ByMark<L::Mark> {
    fn pick(&mut self, children: &[Child<L>], total: u64) -> usize {
        let index = ToMark(self.mark).pick(children, total);
        self.before += children[..index].iter().map(Child::count).sum::<u64>();
        index
    }
}

impl<L: Leaf<Mark: Ord>> Locate<L> for ToMark<L::Mark> {
    fn pick(&mut self, children: &[Child<L>], _: u64) -> usize {
        children.partition_point(|child| child.mark <= self.0).saturating_sub(1)
    }
}

/// A row of neighbouring leaves under one branch, open for changes; keeps the counts right.
pub(crate) struct Siblings<'a, L: Leaf> {
    children: &'a mut Vec<Child<L>>,
    /// Elements gained (or lost) so far.
    delta: i64,
}

impl<L: Leaf> Siblings<'_, L> {
    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    pub(crate) fn leaf(&self, index: usize) -> &L {
        self.children[index].leaf()
    }

    /// The leaf at `index`, if there is one.
    pub(crate) fn get(&self, index: usize) -> Option<&L> {
        self.children.get(index).map(Child::leaf)
    }

    /// Changes the leaf at `index`, copying it first if it is shared. An emptied leaf must be
    /// [rebalanced](Self::rebalance).
    pub(crate) fn update<R>(&mut self, index: usize, change: impl FnOnce(&mut L) -> R) -> R {
        let child = &mut self.children[index];
        let leaf = child.leaf_mut();
        let result = change(leaf);
        let count = leaf.len() as u64;
        if count > 0 {
            child.mark = leaf.mark();
        }
        self.delta += count as i64 - child.count as i64;
        child.count = count;
        result
    }

    /// Puts a non-empty leaf at `index`.
    pub(crate) fn insert(&mut self, index: usize, leaf: L) {
        self.delta += leaf.len() as i64;
        insert_tight(self.children, index, Child::of_leaf(leaf));
    }

    /// Puts `leaves` in the place of those in `range`.
    pub(crate) fn replace(&mut self, range: std::ops::Range<usize>, leaves: Vec<L>) {
        let gone: u64 = self.children[range.clone()].iter().map(|child| child.count).sum();
        let new: usize = leaves.iter().map(L::len).sum();
        self.delta += new as i64 - gone as i64;
        let start = range.start;
        self.children.drain(range);
        for (index, leaf) in leaves.into_iter().enumerate() {
            insert_tight(self.children, start + index, Child::of_leaf(leaf));
        }
    }

    /// Drops the leaf at `index` if it is empty, merges it with its neighbours if they are small.
    pub(crate) fn rebalance(&mut self, index: usize, limits: L::Limits) {
        if self.children[index].count == 0 {
            self.children.remove(index);
            return;
        }
        self.merge(index, limits);
        if index > 0 {
            self.merge(index - 1, limits);
        }
    }

    fn merge(&mut self, index: usize, limits: L::Limits) {
        let Some(next) = self.get(index + 1) else { return };
        if !self.leaf(index).should_merge(next, limits) {
            return;
        }
        let right = self.children.remove(index + 1);
        let left = &mut self.children[index];
        left.leaf_mut().append(right.leaf());
        left.mark = left.leaf().mark();
        left.count += right.count;
    }
}

/// Inserts without doubling the room of small rows: most containers are one leaf.
fn insert_tight<T>(row: &mut Vec<T>, index: usize, item: T) {
    if row.len() == row.capacity() {
        row.reserve_exact(row.len().clamp(1, MAX_CHILDREN / 4));
    }
    row.insert(index, item);
}
