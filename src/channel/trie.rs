//! Patterns with wildcards, found by walking the tokens of a name. Knows no subscriber: a pattern
//! has a place, and whoever asks keeps what belongs to the place.
//!
//! One flat map holds the edges of all nodes, so that a node of one edge costs one entry and not a
//! map of its own. A token is a number there; its text is kept once.

use std::collections::BTreeMap;

use super::name::ChannelName;
use super::pattern::Pattern;
use crate::limits::CHANNEL_TOKENS;

/// Where a pattern ends in the trie, or the root, or a place beside the trie. Never used again.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place(u64);

const ROOT: Place = Place(0);

impl Place {
    /// The place made after this one.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1) // 2^64 subscriptions are not reached
    }
}

/// A token as a number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Symbol(u64);

const ANY: Symbol = Symbol(0);
const REST: Symbol = Symbol(1);

struct Edge {
    to: Place,
    /// Patterns put in, and not taken out, whose path goes over this edge.
    uses: usize,
}

struct Word {
    symbol: Symbol,
    /// Edges with this token.
    edges: usize,
}

pub(super) struct Trie {
    edges: BTreeMap<(Place, Symbol), Edge>,
    words: BTreeMap<Box<str>, Word>,
    last_symbol: Symbol,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self { edges: BTreeMap::new(), words: BTreeMap::new(), last_symbol: REST }
    }

    /// Puts a pattern in once more. New places are made from `last`.
    pub(super) fn insert(&mut self, pattern: &Pattern, last: &mut Place) -> Place {
        let mut at = ROOT;
        for token in pattern.tokens() {
            let symbol = self.symbol_or_new(token);
            let mut is_new = false;
            let edge = self.edges.entry((at, symbol)).or_insert_with(|| {
                *last = last.next();
                is_new = true;
                Edge { to: *last, uses: 0 }
            });
            edge.uses += 1;
            at = edge.to;
            if is_new && let Some(word) = self.words.get_mut(token) {
                word.edges += 1;
            }
        }
        at
    }

    /// Where the pattern ends, if it is in.
    pub(super) fn find(&self, pattern: &Pattern) -> Option<Place> {
        pattern.tokens().try_fold(ROOT, |at, token| {
            let symbol = self.symbol(token)?;
            self.edges.get(&(at, symbol)).map(|edge| edge.to)
        })
    }

    /// Takes a pattern out that was put in.
    pub(super) fn remove(&mut self, pattern: &Pattern) {
        let mut at = ROOT;
        for token in pattern.tokens() {
            let Some(symbol) = self.symbol(token) else { return };
            let Some(edge) = self.edges.get_mut(&(at, symbol)) else { return };
            let from = std::mem::replace(&mut at, edge.to);
            edge.uses -= 1;
            if edge.uses == 0 {
                self.edges.remove(&(from, symbol));
                self.forget_edge(token);
            }
        }
    }

    fn forget_edge(&mut self, token: &str) {
        if let Some(word) = self.words.get_mut(token) {
            word.edges -= 1;
            if word.edges == 0 {
                self.words.remove(token);
            }
        }
    }

    /// Where the patterns end that match the name, in an order that depends on the patterns alone.
    pub(super) fn walk(&self, name: &ChannelName) -> Walk<'_> {
        let mut walk = Walk {
            trie: self,
            symbols: [None; CHANNEL_TOKENS],
            tokens: 0,
            waiting: [(ROOT, 0); CHANNEL_TOKENS + 1],
            count: 0,
            #[cfg(test)]
            visited: 0,
        };
        if !self.edges.is_empty() {
            for (slot, token) in walk.symbols.iter_mut().zip(name.tokens()) {
                *slot = self.symbol(token);
                walk.tokens += 1;
            }
            walk.push(ROOT, 0);
        }
        walk
    }

    fn symbol(&self, token: &str) -> Option<Symbol> {
        match token {
            "*" => Some(ANY),
            ">" => Some(REST),
            text => self.words.get(text).map(|word| word.symbol),
        }
    }

    fn symbol_or_new(&mut self, token: &str) -> Symbol {
        if let Some(symbol) = self.symbol(token) {
            return symbol;
        }
        let symbol = Symbol(self.last_symbol.0 + 1);
        self.last_symbol = symbol;
        self.words.insert(token.into(), Word { symbol, edges: 0 });
        symbol
    }

    /// Edges and words, which are none when no pattern is in.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.edges.len(), self.words.len())
    }
}

/// A walk over the trie, depth first, without allocation. Of a node it gives the pattern that ends
/// there with `>`, then goes over the name's token, then over `*`.
///
/// It visits only nodes whose path matches the front of the name: one per token for each such path,
/// `2^tokens` at most, and never more than there are.
pub(super) struct Walk<'a> {
    trie: &'a Trie,
    symbols: [Option<Symbol>; CHANNEL_TOKENS],
    tokens: usize,
    /// Nodes to visit, with the number of tokens in front of them. A visit takes one and leaves two
    /// that lie one token deeper, so there are never more than tokens + 1.
    waiting: [(Place, usize); CHANNEL_TOKENS + 1],
    count: usize,
    #[cfg(test)]
    pub(super) visited: usize,
}

impl Walk<'_> {
    fn push(&mut self, at: Place, depth: usize) {
        let slot = self.waiting.get_mut(self.count);
        assert!(slot.is_some(), "a walk leaves one node behind at each depth");
        slot.into_iter().for_each(|slot| *slot = (at, depth));
        self.count += 1;
    }

    fn pop(&mut self) -> Option<(Place, usize)> {
        self.count = self.count.checked_sub(1)?;
        self.waiting.get(self.count).copied()
    }

    fn follow(&self, at: Place, symbol: Symbol) -> Option<Place> {
        self.trie.edges.get(&(at, symbol)).map(|edge| edge.to)
    }
}

impl Iterator for Walk<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        while let Some((at, depth)) = self.pop() {
            #[cfg(test)]
            {
                self.visited += 1;
            }
            if depth == self.tokens {
                return Some(at);
            }
            if let Some(any) = self.follow(at, ANY) {
                self.push(any, depth + 1);
            }
            let symbol = self.symbols.get(depth).copied().flatten();
            if let Some(named) = symbol.and_then(|symbol| self.follow(at, symbol)) {
                self.push(named, depth + 1);
            }
            if let Some(rest) = self.follow(at, REST) {
                return Some(rest);
            }
        }
        None
    }
}
