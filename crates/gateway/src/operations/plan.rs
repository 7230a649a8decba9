//! Which account carries what, and who streams which account.

use gateway_api::OperationError;
use serde_json::{Value, json};
use sql_store::lease;

use super::Parts;

impl Parts {
    pub(super) fn plan(&self) -> Value {
        let Some(report) = self.control.report().borrow().clone() else {
            return json!({ "state": "there is no plan yet: it needs instruments and accounts" });
        };
        let (plan, changes) = (&report.plan, report.plan.changes());
        let accounts = plan.accounts().iter().map(|load| {
            json!({
                "account": &*load.slot.id,
                "state": load.slot.state.as_str(),
                "here": load.slot.held,
                "instruments": load.tokens,
                "capacity": load.slot.capacity,
                "weight": load.slot.weight,
            })
        });
        let refusals = plan.refusals().into_iter().map(|refusal| {
            json!({
                "wish": refusal.wish.as_str(),
                "priority": refusal.priority.0,
                "refused": refusal.refused,
                "of": refusal.of,
                "why": refusal.why.as_str(),
            })
        });
        let ladders = plan.desired().ladders().iter().map(|ladder| {
            json!({
                "wish": ladder.wish.as_str(),
                "underlying": &*ladder.chain.underlying,
                "expiry": ladder.chain.expiry.to_string(),
                "centre": ladder.centre.to_f64(),
                "lowest": ladder.lowest.to_f64(),
                "highest": ladder.highest.to_f64(),
            })
        });
        json!({
            "cause": report.cause.as_str(),
            "at": report.at.0,
            "took_ms": report.took.as_secs_f64() * 1e3,
            "wanted": plan.desired().len(),
            "kept": changes.kept,
            "placed": changes.placed,
            "moved": changes.moved,
            "refused": changes.refused,
            "dropped": changes.dropped,
            "accounts": accounts.collect::<Vec<_>>(),
            "refusals": refusals.collect::<Vec<_>>(),
            "unmet": plan.desired().unmet().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "ladders": ladders.collect::<Vec<_>>(),
        })
    }

    pub(super) fn explain(&self, symbol: &str) -> Result<Value, OperationError> {
        let listing = self.registry.current();
        let instrument = self.listed(&listing, symbol)?;
        let report = self.control.report().borrow().clone();
        let explanation = report.and_then(|report| report.plan.explain(instrument.token));
        let explanation = explanation.ok_or_else(|| {
            OperationError::NotFound(format!("nobody wants `{}`", instrument.tradingsymbol))
        })?;
        let wishes = explanation
            .wishes
            .iter()
            .map(|(id, text, owner)| json!({ "wish": id.as_str(), "text": text, "owner": &**owner }));
        Ok(json!({
            "instrument_token": explanation.token.0,
            "tradingsymbol": &*explanation.tradingsymbol,
            "mode": explanation.mode.as_str(),
            "account": explanation.placement.as_ref().ok().map(|placed| placed.account.to_string()),
            "why": explanation.to_string(),
            "wishes": wishes.collect::<Vec<_>>(),
        }))
    }

    pub(super) async fn instances(&self) -> Result<Value, OperationError> {
        let leases = lease::list(&self.database).await;
        let leases = leases.map_err(|error| OperationError::Unavailable(error.to_string()))?;
        let rows = leases.into_iter().map(|row| {
            let holder = if row.remaining.is_zero() { None } else { Some(row.holder) };
            json!({
                "account": row.name,
                "holder": holder,
                "here": holder.as_deref() == Some(&*self.instance),
                "fence": row.fence,
                "remaining_ms": row.remaining.as_millis() as u64,
            })
        });
        Ok(json!({ "instance": &*self.instance, "leases": rows.collect::<Vec<_>>() }))
    }
}
