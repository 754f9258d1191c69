//! MFA devices: virtual ones, whose codes are checked against their seed when a user gets one.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::entity::Entity;
use super::possession::{self, user};
use super::{date, exists, no_such};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The seed is in the answer that makes a device, and in no other.
const SEED: &str = "_Seed";
/// Seconds for which a code is good.
const PERIOD: i64 = 30;
/// How many periods a device's clock may be wrong.
const DRIFT: i64 = 10;

fn base32(bytes: &[u8]) -> String {
    let bit = |place: usize| bytes.get(place / 8).map_or(0, |byte| byte >> (7 - place % 8) & 1);
    let digits = (bytes.len() * 8).div_ceil(5);
    let digit = |place: usize| (0..5).fold(0, |digit, offset| digit << 1 | bit(place * 5 + offset));
    (0..digits)
        .map(|place| char::from(ALPHABET[usize::from(digit(place))]))
        .collect()
}

/// The code of six digits that a device shows in a period.
fn code(seed: &str, period: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed.as_bytes());
    let tag = hmac::sign(&key, &period.to_be_bytes());
    let bytes = tag.as_ref();
    let place = usize::from(bytes.last().copied().unwrap_or(0) & 0x0f);
    let number = bytes[place..place + 4]
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

/// Whether two codes follow each other about now.
fn are_codes(seed: &str, first: &str, second: &str, now: Timestamp) -> bool {
    let period = now.as_second() / PERIOD;
    (period - DRIFT..=period + DRIFT).any(|at| code(seed, at) == first && code(seed, at + 1) == second)
}

fn check_path(path: &str) -> Result<(), ApiError> {
    let is_good = path.starts_with('/') && path.ends_with('/') && !path.contains("//");
    if is_good {
        return Ok(());
    }
    let message = "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.";
    Err(ApiError::bad_request("ValidationError", message))
}

/// `CreateVirtualMFADevice`. There is no picture of the seed.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let path = input.text("Path").unwrap_or("/");
    check_path(path)?;
    let name = input.required("VirtualMFADeviceName");
    let serial = format!("arn:aws:iam::{}:mfa{path}{name}", context.caller.account);
    let mut seed = [0; 40];
    context.region.random.bytes(&mut seed);
    // What programs for codes take in is the seed in base 32.
    let seed: Vec<u8> = seed.iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
    let shown = base32(&seed);
    let tags = super::tag::given(&input)?;
    let body = json!({"SerialNumber": serial, SEED: String::from_utf8_lossy(&seed)});
    let made = Item::new(ItemKind::MfaDevice, serial.as_str(), body).tagged(tags.clone());
    catalogue::create(&context, made, |state| {
        if catalogue::find(state, ItemKind::MfaDevice, &serial).is_some() {
            return Err(exists(
                "MFADevice entity at the same path and name already exists.".to_owned(),
            ));
        }
        Ok(())
    })
    .await?;
    let mut view = json!({"SerialNumber": serial, "Base32StringSeed": STANDARD.encode(shown)});
    if !tags.is_empty() {
        view["Tags"] = tag_list(&tags);
    }
    Ok(json!({ "VirtualMFADevice": view }))
}

/// Who has a device.
fn assignment<'a>(state: &'a State, serial: &str) -> Option<(&'a Item, &'a Entity)> {
    let mut all = catalogue::of_kind(state, ItemKind::MfaAssignment);
    let found = all.find(|item| item.body.text("SerialNumber") == Some(serial))?;
    Some((found, possession::owner(state, found)?))
}

fn codes_of(input: &Value) -> (&str, &str) {
    (
        input.required("AuthenticationCode1"),
        input.required("AuthenticationCode2"),
    )
}

/// Refuses codes that a device does not show.
fn check_codes(state: &State, input: &Value, now: Timestamp) -> Result<(), ApiError> {
    let serial = input.required("SerialNumber");
    let device = catalogue::find(state, ItemKind::MfaDevice, serial);
    let device =
        device.ok_or_else(|| no_such(format!("VirtualMFADevice with serial number {serial} doesn't exist.")))?;
    let (first, second) = codes_of(input);
    if are_codes(device.body.required(SEED), first, second, now) {
        return Ok(());
    }
    let message = "Authentication code for device is not valid.";
    Err(ApiError::new(
        "InvalidAuthenticationCode",
        StatusCode::FORBIDDEN,
        message,
    ))
}

/// `EnableMFADevice`.
pub async fn enable(context: Context, input: Value) -> Result<Value, ApiError> {
    let (now, serial) = (context.region.clock.now(), input.required("SerialNumber"));
    let decide = |state: &State| {
        let user = user(state, &context, &input)?;
        check_codes(state, &input, now)?;
        if assignment(state, serial).is_some() {
            return Err(exists(format!(
                "MFA Device with serial number {serial} is already in use."
            )));
        }
        let body = json!({"SerialNumber": serial, "EnableDate": date(now)});
        let made = Item::new(ItemKind::MfaAssignment, possession::key(user, serial), body);
        Ok((nothing(), vec![made.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `ResyncMFADevice`.
pub async fn resync(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    context.region.ledger.read(|state| {
        user(state, &context, &input)?;
        check_codes(state, &input, now)
    })?;
    Ok(nothing())
}

/// `DeactivateMFADevice`.
pub async fn deactivate(context: Context, input: Value) -> Result<Value, ApiError> {
    let serial = input.required("SerialNumber");
    let missing = |_: &Entity| format!("MFA Device with serial number {serial} does not exist.");
    possession::remove(&context, &input, ItemKind::MfaAssignment, serial, missing).await
}

/// `ListMFADevices`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    possession::list(&context, &input, ItemKind::MfaAssignment, "MFADevices", &[], |_| true)
}

/// `GetMFADevice`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let serial = input.required("SerialNumber");
    context.region.ledger.read(|state| {
        let (item, user) = assignment(state, serial)
            .ok_or_else(|| no_such(format!("MFA Device with serial number {serial} does not exist.")))?;
        Ok(possession::view(user, item, &[]))
    })
}

/// `ListVirtualMFADevices`.
pub async fn list_virtual(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.text("AssignmentStatus").unwrap_or("Any");
    let views = context.region.ledger.read(|state| {
        let view = |device: &Item| {
            let serial = device.body.required("SerialNumber");
            let mut view = json!({ "SerialNumber": serial });
            let owner = assignment(state, serial);
            if let Some((item, user)) = owner {
                view["User"] = user.view();
                view["EnableDate"] = item.body["EnableDate"].clone();
            }
            let fits = wanted == "Any" || (wanted == "Assigned") == owner.is_some();
            fits.then_some(view)
        };
        catalogue::of_kind(state, ItemKind::MfaDevice)
            .filter_map(view)
            .collect()
    });
    super::page(views, "VirtualMFADevices", &input)
}

/// `DeleteVirtualMFADevice`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let serial = input.required("SerialNumber");
    let decide = |state: &State| {
        let device = catalogue::find(state, ItemKind::MfaDevice, serial);
        let device =
            device.ok_or_else(|| no_such(format!("VirtualMFADevice with serial number {serial} doesn't exist.")))?;
        if assignment(state, serial).is_some() {
            return Err(super::conflict("MFA VirtualDevice in use. Must deactivate first."));
        }
        Ok((nothing(), vec![device.removal()]))
    };
    context.region.ledger.change(decide).await
}

async fn change_tags(context: &Context, input: &Value, change: impl FnOnce(&mut Item)) -> Result<Value, ApiError> {
    let serial = input.required("SerialNumber");
    let missing = || no_such(format!("VirtualMFADevice with serial number {serial} doesn't exist."));
    catalogue::edit(context, ItemKind::MfaDevice, serial, missing, |_, item| {
        change(item);
        Ok(nothing())
    })
    .await
}

/// `TagMFADevice`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = super::tag::given(&input)?;
    change_tags(&context, &input, |item| item.tags.extend(tags)).await
}

/// `UntagMFADevice`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    let keys = input.texts("TagKeys");
    change_tags(&context, &input, |item| {
        item.tags.retain(|key, _| !keys.contains(&key.as_str()))
    })
    .await
}

/// `ListMFADeviceTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let serial = input.required("SerialNumber");
    let tags = context.region.ledger.read(|state| {
        let device = catalogue::find(state, ItemKind::MfaDevice, serial);
        let device =
            device.ok_or_else(|| no_such(format!("VirtualMFADevice with serial number {serial} doesn't exist.")))?;
        Ok::<_, ApiError>(tag_list(&device.tags))
    })?;
    super::page(tags.as_array().cloned().unwrap_or_default(), "Tags", &input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B: the last six of eight digits.
        let seed = "12345678901234567890";
        for (seconds, shown) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")] {
            assert_eq!(code(seed, seconds / PERIOD), shown);
        }
        let now = Timestamp::from_second(59).unwrap();
        assert!(are_codes(seed, &code(seed, 1), &code(seed, 2), now));
        assert!(!are_codes(seed, &code(seed, 1), &code(seed, 3), now));
    }

    #[test]
    fn seeds_are_shown_in_base_32() {
        assert_eq!(base32(b"foobar"), "MZXW6YTBOI");
    }
}
