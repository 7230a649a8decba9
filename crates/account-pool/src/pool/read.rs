//! Reads on the account that can answer soonest, and on another one when that fails.
//!
//! There is no way to send an order through here: the class of a read cannot be "orders".

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use resilience::Permit as BreakerPermit;
use tokio::time::Instant;

use super::{AccountPool, Member};
use crate::account::{Account, AccountName};
use crate::board::TokenView;
use crate::life::Generation;
use crate::pace::{PaceError, Permit, ReadClass};
use crate::secret::Secret;

/// A read to be made on some account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadCall {
    /// Which limit it counts against.
    pub class: ReadClass,
    /// On which accounts it may be made.
    pub scope: ReadScope,
    /// Nothing is begun after this moment. The call itself must have a time-out of its own.
    pub deadline: Instant,
    /// Most accounts that may be tried, each once.
    pub most_accounts: usize,
}

/// On which accounts a read means the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadScope {
    /// Market data: any account, but never a simulated one in place of a live one or the other way round.
    Market {
        /// Which of the two.
        simulated: bool,
    },
    /// What belongs to one account, such as its positions. There is no other to go to.
    Only(AccountName),
}

/// What a read may use.
#[derive(Debug, Clone)]
pub struct ReadLease {
    /// The account.
    pub account: Arc<Account>,
    /// Its present token.
    pub token: Secret,
    /// Which token that is.
    pub generation: Generation,
}

/// What the failure of a read says about the account it was made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadVerdict {
    /// 429. The class is left alone for a while; another account may answer.
    Throttled {
        /// What the broker asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// 5xx, no answer, no connection. Another account may answer.
    Failing,
    /// 403 `TokenException`. The token is dead; another account may answer.
    TokenRefused,
    /// The call itself is wrong; every account would say the same.
    Final,
}

/// An error that says what it means for the account.
pub trait ReadFailure {
    /// What to do about it.
    fn verdict(&self) -> ReadVerdict;
}

/// Why an account was passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// Switched off.
    #[error("is disabled")]
    Disabled,
    /// No usable token.
    #[error("has no usable token ({0})")]
    Token(&'static str),
    /// It failed too often lately.
    #[error("failed too often lately")]
    Breaker,
    /// Its limits.
    #[error("{0}")]
    Pace(#[from] PaceError),
}

/// Why a read brought nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// No account could be asked.
    #[error("no account can be asked: {}", tell(.0))]
    NoAccount(Vec<(AccountName, NotReady)>),
    /// Asked, and failed; the last failure is kept.
    #[error("account `{account}` failed, after {tried} tried: {source}")]
    Failed {
        /// The last one asked.
        account: AccountName,
        /// How many were asked.
        tried: usize,
        /// What it said.
        source: E,
    },
}

impl AccountPool {
    /// Makes a read: `make` is called with one account after the other until one answers, at most once for each.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// As `make`; slots that were not used are given back.
    pub async fn read<T, E, F>(
        &self,
        call: &ReadCall,
        mut make: impl FnMut(ReadLease) -> F,
    ) -> Result<T, ReadError<E>>
    where
        E: ReadFailure,
        F: Future<Output = Result<T, E>>,
    {
        let (mut passed, mut failed) = (Vec::new(), None);
        let mut left = self.members_for(&call.scope);
        let mut tried = 0;
        while tried < call.most_accounts.max(1) && !left.is_empty() {
            // Ranked anew each time: a wait or a failure changes who is free.
            let member = left.remove(best(&left, call.class));
            let name = &member.account.name;
            let Ready { view, breaker, permit } = match self.ready(&member, call).await {
                Ok(ready) => ready,
                Err(why) => {
                    passed.push((name.clone(), why));
                    continue;
                }
            };
            let Some(token) = view.token else { continue };
            if tried > 0 {
                member.metrics.reads_moved.increment(1);
            }
            tried += 1;
            let lease =
                ReadLease { account: Arc::clone(&member.account), token, generation: view.generation };
            match make(lease).await {
                Ok(answer) => {
                    permit.answered();
                    member.breaker.success(breaker);
                    return Ok(answer);
                }
                Err(source) => {
                    let verdict = source.verdict();
                    self.learn(&member, verdict, view.generation, &permit, breaker);
                    failed = Some(ReadError::Failed { account: name.clone(), tried, source });
                    if verdict == ReadVerdict::Final {
                        break;
                    }
                }
            }
        }
        Err(failed.unwrap_or(ReadError::NoAccount(passed)))
    }

    fn learn(
        &self,
        member: &Member,
        verdict: ReadVerdict,
        generation: Generation,
        permit: &Permit,
        breaker: BreakerPermit,
    ) {
        match verdict {
            ReadVerdict::Throttled { retry_after } => permit.too_many_requests(retry_after),
            ReadVerdict::TokenRefused => self.board.refused(member.account.name.as_str(), generation),
            ReadVerdict::Failing | ReadVerdict::Final => {}
        }
        if verdict == ReadVerdict::Failing {
            member.breaker.failure(breaker, Instant::now());
        } else {
            // It answered, so it is there.
            member.breaker.success(breaker);
        }
    }

    fn members_for(&self, scope: &ReadScope) -> Vec<Arc<Member>> {
        let mut members = self.all();
        members.retain(|member| match scope {
            ReadScope::Market { simulated } => member.account.simulated == *simulated,
            ReadScope::Only(name) => member.account.name == *name,
        });
        members
    }

    async fn ready(&self, member: &Member, call: &ReadCall) -> Result<Ready, NotReady> {
        if !member.account.enabled {
            return Err(NotReady::Disabled);
        }
        self.usable_token(member)?;
        if member.breaker.state(Instant::now()) == resilience::BreakerState::Open {
            return Err(NotReady::Breaker);
        }
        let permit = member.pacer.acquire(call.class, call.deadline).await?;
        // Looked at again after the wait, which may have been long.
        let ready = self.usable_token(member).and_then(|view| {
            let breaker = member.breaker.permit(Instant::now()).map_err(|_| NotReady::Breaker)?;
            Ok((view, breaker))
        });
        match ready {
            Ok((view, breaker)) => Ok(Ready { view, breaker, permit }),
            Err(why) => {
                permit.unused();
                Err(why)
            }
        }
    }

    fn usable_token(&self, member: &Member) -> Result<TokenView, NotReady> {
        let view = self.board.view(member.account.name.as_str());
        let state = view.as_ref().map_or("none", |view| view.state.as_str());
        view.filter(|view| view.token.is_some()).ok_or(NotReady::Token(state))
    }
}

struct Ready {
    view: TokenView,
    breaker: BreakerPermit,
    permit: Permit,
}

/// The one to ask next: one that can go now before one that must wait, then by priority, then the soonest, then the
/// least loaded for its weight.
fn best(members: &[Arc<Member>], class: ReadClass) -> usize {
    let rank = |member: &Member| {
        let wait = member.pacer.estimate(class);
        let status = member.pacer.status(class);
        let load = (status.in_flight + status.waiting + status.used as usize) * 1000;
        let load = load / member.account.weight.max(1) as usize;
        (!wait.is_zero(), member.account.priority, wait, load, Reverse(member.account.weight))
    };
    let ranked = members.iter().enumerate().min_by_key(|(_, member)| rank(member));
    ranked.map_or(0, |(index, _)| index)
}

fn tell(passed: &[(AccountName, NotReady)]) -> String {
    if passed.is_empty() {
        return "there is none of that kind".to_owned();
    }
    let told: Vec<String> = passed.iter().map(|(name, why)| format!("`{name}` {why}")).collect();
    told.join(", ")
}
