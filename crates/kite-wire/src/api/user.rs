//! The user and the money.

use super::{ApiRequest, call, plain_get};
use crate::MarginSegment;
use crate::rest::{FullProfile, Margins, Profile, SegmentMargins, parse_body};

plain_get! {
    /// `GET /user/profile`.
    GetProfile: "user/profile" => Profile, parse_body;
    /// `GET /user/profile/full`: known from one official client and the mocks only.
    GetFullProfile: "user/profile/full" => FullProfile, parse_body;
    /// `GET /user/margins`: both purses.
    GetMargins: "user/margins" => Margins, parse_body;
}

/// `GET /user/margins/{segment}`: one purse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetSegmentMargins(
    /// Which one.
    pub MarginSegment,
);

call!(GetSegmentMargins, this => SegmentMargins, parse_body, {
    ApiRequest::get(["user/margins", this.0.as_str()])
});
