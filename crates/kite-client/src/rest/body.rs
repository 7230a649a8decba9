//! Reading answers, never more than was agreed.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::error::RestError;

/// Whether the body is compressed.
///
/// # Errors
/// A compression that was not asked for.
pub(super) fn is_gzip(headers: &HeaderMap) -> Result<bool, RestError> {
    match headers.get(CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
        None => Ok(false),
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => Ok(false),
        Some(coding) if coding.eq_ignore_ascii_case(b"gzip") => Ok(true),
        Some(_) => Err(RestError::Unreadable("it is compressed in a way nobody asked for".to_owned())),
    }
}

/// The whole body, decompressed.
pub(super) async fn read_whole(body: Incoming, gzip: bool, limit: usize) -> Result<Bytes, RestError> {
    let packed = read_packed(body, limit).await?;
    if gzip { unpack(&packed, limit) } else { Ok(packed) }
}

async fn read_packed(mut body: Incoming, limit: usize) -> Result<Bytes, RestError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| RestError::Broken(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(RestError::TooLarge { limit });
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, RestError> {
    let mut text = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    // A torn archive is a torn answer: HTTP can end a body early without an error when it has no length.
    MultiGzDecoder::new(packed)
        .take(most)
        .read_to_end(&mut text)
        .map_err(|error| RestError::Broken(format!("the compressed answer is damaged: {error}")))?;
    if text.len() > limit { Err(RestError::TooLarge { limit }) } else { Ok(text.into()) }
}
