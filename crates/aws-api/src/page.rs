//! Long lists a page at a time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cluster_lifecycle::Refusal;

/// One page of `names` and the token of the next. A token holds the last name given, so names that come or go between two
/// calls neither repeat nor hide others.
///
/// # Errors
/// When the token was not made here.
pub fn names(
    mut names: Vec<String>,
    max_results: Option<i64>,
    token: Option<&str>,
) -> Result<(Vec<String>, Option<String>), Refusal> {
    let wrong = || Refusal::invalid_parameter("The token provided in nextToken is not valid");
    names.sort();
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        let last = URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(wrong)?;
        names.retain(|name| *name > last);
    }
    let size = usize::try_from(max_results.unwrap_or(100))
        .map_err(|_negative| wrong())?
        .clamp(1, 100);
    let more = names.len() > size;
    names.truncate(size);
    let next = names.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(last));
    Ok((names, next))
}
