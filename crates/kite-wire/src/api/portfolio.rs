//! Holdings and positions.

use market_model::Exchange;

use super::{ApiRequest, call, parse_rows, plain_get};
use crate::rest::{
    AuctionHolding, AuthorisationId, CompactHolding, Holding, HoldingsSummary, Positions, parse_body,
};
use crate::{PositionType, Product, TransactionType};

plain_get! {
    /// `GET /portfolio/holdings`.
    GetHoldings: "portfolio/holdings" => Vec<Holding>, parse_rows;
    /// `GET /portfolio/holdings/summary`: known from one official client and the mocks only.
    GetHoldingsSummary: "portfolio/holdings/summary" => HoldingsSummary, parse_body;
    /// `GET /portfolio/holdings/compact`: known from one official client and the mocks only.
    GetCompactHoldings: "portfolio/holdings/compact" => Vec<CompactHolding>, parse_rows;
    /// `GET /portfolio/holdings/auctions`: holdings that can be sold into an auction.
    GetAuctions: "portfolio/holdings/auctions" => Vec<AuctionHolding>, parse_rows;
    /// `GET /portfolio/positions`.
    GetPositions: "portfolio/positions" => Positions, parse_body;
}

/// `POST /portfolio/holdings/authorise`: begins the authorisation of sales at the depository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthoriseHoldings {
    /// ISIN and units of each; none means everything.
    pub holdings: Vec<(String, u64)>,
    /// `mf` or `equity`; known from one official client only.
    pub kind: Option<String>,
    /// `pre`, `post`, `off`, `gift`; known from one official client only.
    pub transfer_type: Option<String>,
    /// Known from one official client only.
    pub exec_date: Option<String>,
}

/// `PUT /portfolio/positions`: turns a position into another product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertPosition {
    /// Where.
    pub exchange: Exchange,
    /// Which.
    pub tradingsymbol: String,
    /// The side of the position.
    pub transaction_type: TransactionType,
    /// Today's or the carried part.
    pub position_type: PositionType,
    /// Units.
    pub quantity: u64,
    /// What it is.
    pub old_product: Product,
    /// What it shall be.
    pub new_product: Product,
}

call!(AuthoriseHoldings, this => AuthorisationId, parse_body, {
    let request = ApiRequest::post(["portfolio/holdings/authorise"])
        .field_if("type", this.kind.clone())
        .field_if("transfer_type", this.transfer_type.clone())
        .field_if("exec_date", this.exec_date.clone());
    this.holdings.iter().fold(request, |request, (isin, quantity)| {
        request.field("isin", isin.clone()).field("quantity", quantity.to_string())
    })
});

call!(ConvertPosition, this => bool, parse_body, {
    ApiRequest::put(["portfolio/positions"])
        .field("exchange", this.exchange.as_str().to_owned())
        .field("tradingsymbol", this.tradingsymbol.clone())
        .field("transaction_type", this.transaction_type.to_string())
        .field("position_type", this.position_type.to_string())
        .field("quantity", this.quantity.to_string())
        .field("old_product", this.old_product.to_string())
        .field("new_product", this.new_product.to_string())
});
