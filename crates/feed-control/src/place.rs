//! How a plan is made: keep, then make room, then place.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use market_model::UnderlyingId;
use rustc_hash::FxHashMap;

use crate::desired::{Desired, Pinned, Wanted};
use crate::plan::{AccountLoad, Assignments, Home, MoveCause, Placement, Plan, PlanChanges, RefusedWhy, Why};
use crate::{AccountSlot, AccountState};

/// A plan in the making. Sums over instruments are over those in `spots`, in the order of what is wanted.
pub(crate) struct Placer<'a> {
    desired: &'a Arc<Desired>,
    accounts: Vec<AccountLoad>,
    /// Names of the accounts, then of former ones.
    names: Vec<Arc<str>>,
    /// For each name that a wish pins, the account of that name.
    pinned: Vec<Option<u16>>,
    spots: Vec<Spot>,
    changes: PlanChanges,
}

/// Where one instrument is while the plan is made.
#[derive(Debug, Clone, Copy, Default)]
struct Spot {
    home: Option<(u16, Why)>,
    moved: Option<(u16, MoveCause)>,
    refused: Option<RefusedWhy>,
    /// It was on an account before, this one.
    before: Option<u16>,
}

impl<'a> Placer<'a> {
    pub(crate) fn new(desired: &'a Arc<Desired>, accounts: &[AccountSlot], before: &Assignments) -> Self {
        let mut accounts: Vec<AccountLoad> =
            accounts.iter().map(|slot| AccountLoad { slot: slot.clone(), tokens: 0 }).collect();
        accounts.sort_by(|a, b| a.slot.id.cmp(&b.slot.id));
        accounts.dedup_by(|later, kept| later.slot.id == kept.slot.id);
        let mut names: Vec<Arc<str>> = accounts.iter().map(|load| load.slot.id.clone()).collect();
        let find = |name: &Arc<str>| accounts.binary_search_by(|load| load.slot.id.cmp(name)).ok();
        let pinned = desired.account_names.iter().map(|name| find(name).map(|at| at as u16)).collect();
        let former: Vec<_> = before.names.iter().filter(|name| find(name).is_none()).cloned().collect();
        names.extend(former);
        let spots = vec![Spot::default(); desired.wanted.len()];
        Self { desired, accounts, names, pinned, spots, changes: PlanChanges::default() }
    }

    pub(crate) fn run(mut self, before: &Assignments) -> Plan {
        self.keep(before);
        self.shrink();
        self.place_pinned();
        self.choose();
        self.place_groups();
        self.finish()
    }

    /// What has an account that is still usable stays there.
    fn keep(&mut self, before: &Assignments) {
        let find =
            |name: &Arc<str>| self.names.iter().position(|known| known == name).unwrap_or_default() as u16;
        let renumbered: Vec<u16> = before.names.iter().map(find).collect();
        let mut homes = before.homes.iter().peekable();
        for (wanted, spot) in self.desired.wanted.iter().zip(&mut self.spots) {
            while homes.next_if(|(token, _)| *token < wanted.token).is_some() {
                self.changes.dropped += 1;
            }
            let Some((_, home)) = homes.next_if(|(token, _)| *token == wanted.token) else { continue };
            let account = renumbered[usize::from(home.account)];
            spot.before = Some(account);
            spot.moved = home.moved.map(|(from, cause)| (renumbered[usize::from(from)], cause));
            let forbidden = match wanted.account {
                Pinned::Only(name) => self.pinned[usize::from(name)] != Some(account),
                Pinned::Any | Pinned::Prefer(_) => false,
            };
            let gone = match self.accounts.get_mut(usize::from(account)) {
                None => MoveCause::Removed,
                Some(load) if !load.slot.is_usable() => MoveCause::Lost,
                Some(_) if forbidden => MoveCause::Asked,
                Some(load) => {
                    load.tokens += 1;
                    let why = match (wanted.account, home.why) {
                        (Pinned::Only(_), _) => Why::Only,
                        (_, Why::Only) => Why::Stayed,
                        (_, why) => why,
                    };
                    spot.home = Some((account, why));
                    continue;
                }
            };
            spot.moved = Some((account, gone));
        }
        self.changes.dropped += homes.count();
    }

    /// An account that can carry less than before gives up what matters least.
    fn shrink(&mut self) {
        for account in 0..self.accounts.len() {
            let load = &self.accounts[account];
            let surplus = load.tokens.saturating_sub(load.slot.capacity);
            if surplus > 0 {
                let on = self.on(account as u16);
                for at in self.least(on, surplus) {
                    self.leave(at, MoveCause::Shrunk);
                }
            }
        }
    }

    /// What may be on one account only goes first; others make room for it if they can be elsewhere or matter less.
    fn place_pinned(&mut self) {
        let mut waiting: Vec<(u16, usize)> = Vec::new();
        let mut homeless = 0;
        for at in 0..self.spots.len() {
            if self.spots[at].home.is_some() {
                continue;
            }
            let Pinned::Only(name) = self.wanted(at).account else {
                homeless += 1;
                continue;
            };
            match self.pinned[usize::from(name)] {
                None => self.spots[at].refused = Some(RefusedWhy::UnknownAccount),
                Some(account) if self.accounts[usize::from(account)].slot.is_ready() => {
                    waiting.push((account, at));
                }
                Some(_) => self.spots[at].refused = Some(RefusedWhy::AccountAway),
            }
        }
        waiting.sort_unstable_by_key(|&(account, at)| (account, Reverse(self.wanted(at).priority), at));
        for same in waiting.chunk_by(|a, b| a.0 == b.0) {
            let account = same[0].0;
            let elsewhere = (0..).zip(&self.accounts).filter(|(at, _)| *at != account);
            let room: usize = elsewhere.map(|(_, load)| load.room()).sum();
            let mut spare = room.saturating_sub(homeless);
            let free = |placer: &Self, at: &usize| !matches!(placer.wanted(*at).account, Pinned::Only(_));
            let mut movable: Vec<usize> = Vec::new();
            if same.len() > self.accounts[usize::from(account)].room() {
                movable = self.on(account).into_iter().filter(|at| free(self, at)).collect();
                movable.sort_unstable_by_key(|&at| (Reverse(self.wanted(at).priority), at));
            }
            for &(_, at) in same {
                if self.accounts[usize::from(account)].room() == 0 {
                    let gives_way = movable.last().is_some_and(|&other| {
                        spare > 0 || self.wanted(other).priority < self.wanted(at).priority
                    });
                    let Some(other) = movable.pop().filter(|_| gives_way) else {
                        self.spots[at].refused = Some(RefusedWhy::AccountFull);
                        continue;
                    };
                    spare = spare.saturating_sub(1);
                    homeless += 1;
                    self.leave(other, MoveCause::Displaced);
                }
                self.settle(at, account, Why::Only);
            }
        }
    }

    /// When there is less room than need, what matters least is refused; when there is more, accounts that are going
    /// out of use are emptied into it.
    fn choose(&mut self) {
        let homeless: Vec<usize> = (0..self.spots.len()).filter(|&at| self.is_homeless(at)).collect();
        let room: usize = self.accounts.iter().map(AccountLoad::room).sum();
        if homeless.len() > room {
            let deficit = homeless.len() - room;
            let mut candidates = homeless;
            for account in 0..self.accounts.len() {
                if self.accounts[account].slot.is_ready() {
                    let on = self.on(account as u16);
                    let free = |at: &usize| !matches!(self.wanted(*at).account, Pinned::Only(_));
                    candidates.extend(on.into_iter().filter(free));
                }
            }
            for at in self.least(candidates, deficit) {
                if let Some((account, _)) = self.spots[at].home.take() {
                    self.accounts[usize::from(account)].tokens -= 1;
                }
                self.spots[at].refused = Some(RefusedWhy::Capacity);
            }
            return;
        }
        let leaving =
            (0u16..).zip(&self.accounts).filter(|(_, load)| load.slot.state == AccountState::Draining);
        let mut leaving: Vec<usize> = leaving.flat_map(|(account, _)| self.on(account)).collect();
        leaving.retain(|&at| !matches!(self.wanted(at).account, Pinned::Only(_)));
        leaving.sort_unstable_by_key(|&at| (Reverse(self.wanted(at).priority), self.wanted(at).group, at));
        for at in leaving.into_iter().take(room - homeless.len()) {
            self.leave(at, MoveCause::Draining);
        }
    }

    /// Places the rest, an underlying at a time, the largest first.
    fn place_groups(&mut self) {
        let mut homeless: Vec<usize> = (0..self.spots.len()).filter(|&at| self.is_homeless(at)).collect();
        if homeless.is_empty() {
            return;
        }
        let key = |at: usize| (self.wanted(at).group, self.wanted(at).account);
        // The order of tokens is that of positions, so a stable sort keeps it.
        homeless.sort_by_key(|&at| key(at));
        let mut chunks: Vec<&[usize]> = homeless.chunk_by(|&a, &b| key(a) == key(b)).collect();
        chunks.sort_by_key(|chunk| (Reverse(chunk.len()), key(chunk[0])));
        let (rows, mut counts) = self.siblings(&chunks);
        for chunk in chunks {
            let Wanted { group, account, .. } = *self.wanted(chunk[0]);
            let Some(row) = rows.get(&group) else { continue };
            let with = &mut counts[row.clone()];
            let (mut rest, mut split) = (chunk, false);
            while !rest.is_empty() {
                let whole = self.whole(rest.len(), account, with).filter(|_| !split);
                let Some((account, why)) = whole.or_else(|| Some((self.roomiest()?, Why::Split))) else {
                    break;
                };
                split = true;
                let fits = self.accounts[usize::from(account)].room().min(rest.len());
                let (now, later) = rest.split_at(fits);
                for &at in now {
                    self.settle(at, account, why);
                }
                with[usize::from(account)] += fits;
                rest = later;
            }
        }
    }

    /// The account for `count` instruments of one underlying together, if any has the room.
    fn whole(&self, count: usize, asked: Pinned, with: &[usize]) -> Option<(u16, Why)> {
        let fits = |at: u16| self.accounts[usize::from(at)].room() >= count;
        let preferred = match asked {
            Pinned::Prefer(name) => self.pinned[usize::from(name)].filter(|at| fits(*at)),
            Pinned::Any | Pinned::Only(_) => None,
        };
        let all = || (0..self.accounts.len() as u16).filter(|at| fits(*at));
        let sibling = || {
            let near = all().filter(|at| with[usize::from(*at)] > 0);
            near.max_by_key(|at| (with[usize::from(*at)], Reverse(*at)))
        };
        let lightest = || {
            all().min_by(|a, b| {
                let (a, b) = (&self.accounts[usize::from(*a)], &self.accounts[usize::from(*b)]);
                let load = |of: &AccountLoad, weight: u32| (of.tokens + count) as u128 * u128::from(weight);
                // a / weight of a < b / weight of b, in whole numbers.
                load(a, b.slot.weight.max(1)).cmp(&load(b, a.slot.weight.max(1)))
            })
        };
        preferred
            .map(|at| (at, Why::Preferred))
            .or_else(|| sibling().map(|at| (at, Why::WithUnderlying)))
            .or_else(|| lightest().map(|at| (at, Why::Lightest)))
    }

    fn roomiest(&self) -> Option<u16> {
        let open = (0u16..).zip(&self.accounts).filter(|(_, load)| load.room() > 0);
        open.max_by_key(|(at, load)| (load.room(), Reverse(*at))).map(|(at, _)| at)
    }

    /// How many instruments of the underlyings in `chunks` each account has already: for each underlying its part of
    /// the counts.
    fn siblings(&self, chunks: &[&[usize]]) -> (FxHashMap<UnderlyingId, Range<usize>>, Vec<usize>) {
        let width = self.accounts.len();
        let mut rows: FxHashMap<UnderlyingId, Range<usize>> = FxHashMap::default();
        for chunk in chunks {
            let start = rows.len() * width;
            rows.entry(self.wanted(chunk[0]).group).or_insert(start..start + width);
        }
        let mut counts = vec![0; rows.len() * width];
        for (wanted, spot) in self.desired.wanted.iter().zip(&self.spots) {
            if let Some((account, _)) = spot.home
                && let Some(row) = rows.get(&wanted.group)
            {
                counts[row.start + usize::from(account)] += 1;
            }
        }
        (rows, counts)
    }

    fn finish(mut self) -> Plan {
        let mut placements = Vec::with_capacity(self.spots.len());
        for spot in &self.spots {
            placements.push(match spot.home {
                Some((account, why)) => {
                    match spot.before {
                        Some(before) if before == account => self.changes.kept += 1,
                        Some(_) => self.changes.moved += 1,
                        None => self.changes.placed += 1,
                    }
                    Placement::On(Home {
                        account,
                        why,
                        moved: spot.moved.filter(|(from, _)| *from != account),
                    })
                }
                None => {
                    self.changes.refused += 1;
                    Placement::Refused(spot.refused.unwrap_or(RefusedWhy::Capacity))
                }
            });
        }
        Plan {
            desired: self.desired.clone(),
            accounts: self.accounts,
            names: self.names,
            placements,
            changes: self.changes,
        }
    }

    fn wanted(&self, at: usize) -> &'a Wanted {
        &self.desired.wanted[at]
    }

    fn is_homeless(&self, at: usize) -> bool {
        self.spots[at].home.is_none() && self.spots[at].refused.is_none()
    }

    fn on(&self, account: u16) -> Vec<usize> {
        let here = |at: &usize| self.spots[*at].home.is_some_and(|(home, _)| home == account);
        (0..self.spots.len()).filter(here).collect()
    }

    /// The `count` that matter least: by priority; of equals what never was on an account, then what has lost its own,
    /// then the rest; of those whole underlyings from the end of the list.
    fn least(&self, mut from: Vec<usize>, count: usize) -> Vec<usize> {
        let key = |at: &usize| {
            let wanted = self.wanted(*at);
            let spot = &self.spots[*at];
            let streamed = (spot.home.is_some(), spot.before.is_some());
            (wanted.priority, streamed, Reverse(wanted.group), Reverse(*at))
        };
        if count < from.len() {
            from.select_nth_unstable_by_key(count, key);
            from.truncate(count);
        }
        from
    }

    fn leave(&mut self, at: usize, cause: MoveCause) {
        if let Some((account, _)) = self.spots[at].home.take() {
            self.accounts[usize::from(account)].tokens -= 1;
            self.spots[at].moved = Some((account, cause));
        }
    }

    fn settle(&mut self, at: usize, account: u16, why: Why) {
        self.spots[at].home = Some((account, why));
        self.accounts[usize::from(account)].tokens += 1;
    }
}
