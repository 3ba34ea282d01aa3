//! Leftist heaps in one slab: many small heaps, melding and removal by handle, all in O(log n) at
//! worst, with no allocation after start-up.
//!
//! An array heap is faster to pop but cannot meld, and a heap per instrument, pair class and
//! trailing group would each need its own allocation. On a calm tick only the roots are looked at,
//! so the layout below them does not matter.

use alloc::vec::Vec;

/// Bits of a node's index; the bits above hold a rank.
const INDEX_BITS: u32 = 27;

/// No node. Whatever is counted here stays below it.
pub(crate) const NIL: u32 = (1 << INDEX_BITS) - 1;

/// A heap: the index of its root, or [`NIL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root(u32);

impl Root {
    pub(crate) const EMPTY: Self = Self(NIL);

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == NIL
    }

    /// The least entry's handle.
    pub(crate) const fn node(self) -> NodeId {
        NodeId(self.0)
    }
}

/// A handle to an entry, for removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const NONE: Self = Self(NIL);

    /// The entry of an index.
    pub(crate) const fn at(index: u32) -> Self {
        Self(index)
    }

    /// Index in the slab: stable while the entry lives, below the slab's capacity.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Node<K> {
    key: K,
    item: u32,
    /// The node above, or NIL at a root. In a free node: the next free node.
    parent: u32,
    left: u32,
    /// The right child, and above it the length of the shortest way down to a missing child;
    /// `rank(left) >= rank(right)`. A rank is at most log₂ of what fits in a slab: it has room.
    right_rank: u32,
}

impl<K> Node<K> {
    const fn right(&self) -> u32 {
        self.right_rank & NIL
    }

    const fn rank(&self) -> u32 {
        self.right_rank >> INDEX_BITS
    }

    const fn set_right(&mut self, right: u32) {
        self.right_rank = self.right_rank & !NIL | right;
    }

    const fn set_rank(&mut self, rank: u32) {
        self.right_rank = self.right_rank & NIL | rank << INDEX_BITS;
    }
}

const _: () = assert!(size_of::<Node<i64>>() == 24 && size_of::<Node<i128>>() == 32);

/// The slab of nodes of all heaps with keys of one type. Entries are ordered by key, then item.
#[derive(Debug)]
pub(crate) struct Heaps<K> {
    nodes: Vec<Node<K>>,
    free: u32,
    live: usize,
}

impl<K: Ord + Copy> Heaps<K> {
    /// Room for `capacity` entries over all heaps.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        assert!(capacity < NIL as usize, "entries: below 2^27");
        Self { nodes: Vec::with_capacity(capacity), free: NIL, live: 0 }
    }

    /// Room for `more` entries beside those that there was room for.
    pub(crate) fn add_room(&mut self, more: usize) {
        let capacity = self.nodes.capacity() + more;
        assert!(capacity < NIL as usize, "entries: below 2^27");
        self.nodes.reserve_exact(capacity - self.nodes.len());
    }

    /// The least entry of a heap.
    #[inline]
    pub(crate) fn peek(&self, root: Root) -> Option<(K, u32)> {
        let node = self.nodes.get(root.0 as usize)?;
        Some((node.key, node.item))
    }

    /// Adds an entry.
    ///
    /// # Panics
    /// When the slab is full: registration must have refused what needs more.
    pub(crate) fn insert(&mut self, root: &mut Root, key: K, item: u32) -> NodeId {
        let node = Node { key, item, parent: NIL, left: NIL, right_rank: NIL | 1 << INDEX_BITS };
        let id = if self.free == NIL {
            assert!(self.nodes.len() < self.nodes.capacity(), "registration reserves every entry");
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let id = self.free;
            self.free = self.nodes[id as usize].parent;
            self.nodes[id as usize] = node;
            id
        };
        self.live += 1;
        root.0 = self.meld_nodes(root.0, id);
        NodeId(id)
    }

    /// Takes the least entry.
    pub(crate) fn pop(&mut self, root: &mut Root) -> Option<(K, u32)> {
        let entry = self.peek(*root)?;
        self.remove(root, root.node());
        Some(entry)
    }

    /// Takes an entry out of the heap that holds it.
    pub(crate) fn remove(&mut self, root: &mut Root, node: NodeId) {
        let removed = &self.nodes[node.0 as usize];
        let (left, right, parent) = (removed.left, removed.right(), removed.parent);
        let below = self.meld_nodes(left, right);
        if below != NIL {
            self.nodes[below as usize].parent = parent;
        }
        if parent == NIL {
            debug_assert!(root.0 == node.0);
            root.0 = below;
        } else {
            let above = &mut self.nodes[parent as usize];
            if above.left == node.0 {
                above.left = below;
            } else {
                above.set_right(below);
            }
            self.repair(parent);
        }
        self.nodes[node.0 as usize].parent = self.free;
        self.free = node.0;
        self.live -= 1;
    }

    /// Moves every entry of `other` into `root`. Handles stay valid.
    pub(crate) fn meld(&mut self, root: &mut Root, other: Root) {
        root.0 = self.meld_nodes(root.0, other.0);
    }

    /// Changes an entry's key: in place where its place stays right, which is O(1).
    pub(crate) fn change_key(&mut self, root: &mut Root, node: NodeId, key: K) -> NodeId {
        let Node { item, parent, left, .. } = self.nodes[node.0 as usize];
        let right = self.nodes[node.0 as usize].right();
        let after_parent = parent == NIL || self.order(parent) <= (key, item);
        let before_children =
            [left, right].into_iter().all(|child| child == NIL || (key, item) <= self.order(child));
        if after_parent && before_children {
            self.nodes[node.0 as usize].key = key;
            return node;
        }
        self.remove(root, node);
        self.insert(root, key, item)
    }

    /// Visits every entry of a heap, each parent before its children.
    pub(crate) fn for_each(&self, root: Root, mut visit: impl FnMut(NodeId)) {
        let mut at = root.0;
        while at != NIL {
            visit(NodeId(at));
            let (left, right) = (self.nodes[at as usize].left, self.nodes[at as usize].right());
            at = if left != NIL {
                left
            } else if right != NIL {
                right
            } else {
                self.next_branch(root.0, at)
            };
        }
    }

    /// The nearest right child above `at` that was not visited yet.
    fn next_branch(&self, root: u32, mut at: u32) -> u32 {
        while at != root {
            let above = self.nodes[at as usize].parent;
            let right = self.nodes[above as usize].right();
            if right != NIL && right != at {
                return right;
            }
            at = above;
        }
        NIL
    }

    fn order(&self, id: u32) -> (K, u32) {
        let node = &self.nodes[id as usize];
        (node.key, node.item)
    }

    fn rank(&self, id: u32) -> u32 {
        if id == NIL { 0 } else { self.nodes[id as usize].rank() }
    }

    /// Melds two heaps along their right spines, each O(log n) long.
    fn meld_nodes(&mut self, a: u32, b: u32) -> u32 {
        if a == NIL || b == NIL {
            return if a == NIL { b } else { a };
        }
        let (top, mut rest) = if self.order(a) <= self.order(b) { (a, b) } else { (b, a) };
        // Down: hang the lesser of the two onto the spine until one of them ends.
        let mut at = top;
        loop {
            let right = self.nodes[at as usize].right();
            if right == NIL {
                self.nodes[at as usize].set_right(rest);
                self.nodes[rest as usize].parent = at;
                break;
            }
            let (lesser, greater) =
                if self.order(right) <= self.order(rest) { (right, rest) } else { (rest, right) };
            self.nodes[at as usize].set_right(lesser);
            self.nodes[lesser as usize].parent = at;
            at = lesser;
            rest = greater;
        }
        // Up: restore ranks and the leftist shape along the way that was changed.
        while at != top {
            self.settle(at);
            at = self.nodes[at as usize].parent;
        }
        self.settle(top);
        top
    }

    /// Restores one node from its children; tells whether its rank changed.
    fn settle(&mut self, id: u32) -> bool {
        let node = &self.nodes[id as usize];
        let (left, right, rank) = (node.left, node.right(), node.rank());
        if self.rank(left) < self.rank(right) {
            self.nodes[id as usize].left = right;
            self.nodes[id as usize].set_right(left);
        }
        let settled = self.rank(left).min(self.rank(right)) + 1;
        self.nodes[id as usize].set_rank(settled);
        settled != rank
    }

    /// Restores the nodes above a removal; ends where a rank stays.
    fn repair(&mut self, mut id: u32) {
        while id != NIL && self.settle(id) {
            id = self.nodes[id as usize].parent;
        }
    }

    /// Entries that there is room for.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.nodes.capacity()
    }

    /// Entries in all heaps.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn check_shape(heaps: &Heaps<i64>, id: u32, parent: u32) -> usize {
        if id == NIL {
            return 0;
        }
        let node = &heaps.nodes[id as usize];
        assert_eq!(node.parent, parent);
        assert!(parent == NIL || heaps.order(parent) <= heaps.order(id));
        assert!(heaps.rank(node.left) >= heaps.rank(node.right()));
        assert_eq!(node.rank(), heaps.rank(node.right()) + 1);
        1 + check_shape(heaps, node.left, id) + check_shape(heaps, node.right(), id)
    }

    /// Several heaps in one slab against sorted vectors, every operation, melds included.
    #[test]
    fn heaps_agree_with_sorted_vectors() {
        let mut random = Random::from_env("heaps_agree_with_sorted_vectors");
        for _ in 0..200 {
            let mut heaps = Heaps::with_capacity(300);
            let mut roots = [Root::EMPTY; 3];
            let mut model: [Vec<(i64, u32, NodeId)>; 3] = Default::default();
            for item in 0..300u32 {
                let at = random.below(3) as usize;
                match random.below(10) {
                    0..5 => {
                        let key = random.below(40) as i64;
                        let node = heaps.insert(&mut roots[at], key, item);
                        model[at].push((key, item, node));
                    }
                    5 | 6 => {
                        model[at].sort_by_key(|&(key, item, _)| (key, item));
                        let popped = heaps.pop(&mut roots[at]);
                        let expected =
                            if model[at].is_empty() { None } else { Some(model[at].remove(0)) };
                        assert_eq!(popped, expected.map(|(key, item, _)| (key, item)));
                    }
                    7 if !model[at].is_empty() => {
                        let which = random.below(model[at].len() as u64) as usize;
                        let (_, _, node) = model[at].swap_remove(which);
                        heaps.remove(&mut roots[at], node);
                    }
                    8 if !model[at].is_empty() => {
                        let which = random.below(model[at].len() as u64) as usize;
                        let key = random.below(40) as i64;
                        let (_, item, node) = model[at][which];
                        let node = heaps.change_key(&mut roots[at], node, key);
                        model[at][which] = (key, item, node);
                    }
                    9 => {
                        let other = (at + 1) % 3;
                        let taken = core::mem::take(&mut model[other]);
                        model[at].extend(taken);
                        let root = roots[other];
                        roots[other] = Root::EMPTY;
                        heaps.meld(&mut roots[at], root);
                    }
                    _ => {}
                }
                let live: usize = model.iter().map(Vec::len).sum();
                assert_eq!(heaps.len(), live);
                for (root, entries) in roots.iter().zip(&model) {
                    assert_eq!(check_shape(&heaps, root.0, NIL), entries.len());
                    let mut visited = 0;
                    heaps.for_each(*root, |_| visited += 1);
                    assert_eq!(visited, entries.len());
                }
            }
        }
    }
}
