//! Signals by name, as images and CRI write them.

/// The last real-time signal.
const LAST: i32 = 64;
/// The first real-time signal that glibc leaves to programs.
const FIRST_REAL_TIME: i32 = 34;

/// The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or `RTMAXMINUS2`.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=LAST).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = name.replace("PLUS", "+").replace("MINUS", "-");
    let from = |base: i32, rest: &str| {
        if rest.is_empty() {
            Some(base)
        } else {
            rest.parse::<i32>().ok().map(|offset| base + offset)
        }
    };
    if let Some(rest) = real_time.strip_prefix("RTMIN") {
        return from(FIRST_REAL_TIME, rest);
    }
    if let Some(rest) = real_time.strip_prefix("RTMAX") {
        return from(LAST, rest);
    }
    let same = match name {
        "CLD" => "CHLD",
        "IOT" => "ABRT",
        "POLL" => "IO",
        other => other,
    };
    format!("SIG{same}")
        .parse::<nix::sys::signal::Signal>()
        .ok()
        .map(|signal| signal as i32)
}

#[cfg(test)]
mod tests;
