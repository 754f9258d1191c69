//! Key pairs that are made here: the private key in the form that EC2 hands out, the public one in OpenSSH's, fingerprints.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::ApiError;
use crate::sqs::digest::md5;

/// A key pair that was made.
pub struct Made {
    /// The private key, in PEM.
    pub private: String,
    /// The public key, without a comment.
    pub public: String,
    /// As EC2 shows it.
    pub fingerprint: String,
}

/// Kinds of public keys that EC2 takes.
const KINDS: &[&str] = &["ssh-rsa", "ssh-ed25519"];

/// The kind and the bytes of a public key: a line of OpenSSH's, a key in the form of RFC 4716, or the bytes alone in base64.
pub fn read_public(text: &str) -> Option<(&'static str, Vec<u8>)> {
    let mut words = text.split_whitespace();
    let packed = if text.starts_with("---- BEGIN SSH2 PUBLIC KEY ----") {
        body_of_rfc4716(text)
    } else {
        let first = words.next()?;
        let body = if KINDS.contains(&first) { words.next()? } else { first };
        body.to_owned()
    };
    let bytes = STANDARD.decode(packed).ok()?;
    // The bytes begin with the kind, and its length before it.
    let kind = KINDS.iter().find(|kind| bytes.starts_with(&string(kind.as_bytes())))?;
    Some((kind, bytes))
}

/// What is between the marks of RFC 4716 besides headers, of which a line that ends with `\` goes on in the next.
fn body_of_rfc4716(text: &str) -> String {
    let mut body = String::new();
    let mut in_header = false;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("----")) {
        let is_header = in_header || line.contains(':');
        in_header = is_header && line.ends_with('\\');
        if !is_header {
            body.push_str(line);
        }
    }
    body
}

fn pem(kind: &str, bytes: &[u8], width: usize) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> = (0..text.len())
        .step_by(width)
        .filter_map(|place| text.get(place..text.len().min(place + width)))
        .collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----", lines.join("\n"))
}

/// Bytes with their length before them, as SSH writes them.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    length.iter().chain(bytes).copied().collect()
}

fn colons(digest: &[u8]) -> String {
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// A pair of Ed25519 keys. `comment` is the key pair's name, `check` any number.
///
/// # Errors
/// When there is no randomness.
pub fn ed25519(comment: &str, check: [u8; 4]) -> Result<Made, ApiError> {
    let failed = |error: aws_lc_rs::error::Unspecified| ApiError::internal(error.to_string());
    let pair = Ed25519KeyPair::generate().map_err(failed)?;
    let public = pair.public_key().as_ref().to_vec();
    let seed: Curve25519SeedBin<'_> = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
    let blob = [string(b"ssh-ed25519"), string(&public)].concat();
    let mut private = [check, check].concat();
    private.extend(blob.iter());
    private.extend(string(&[seed.as_ref(), public.as_slice()].concat()));
    private.extend(string(comment.as_bytes()));
    for padding in 1..=7_u8 {
        if private.len() % 8 == 0 {
            break;
        }
        private.push(padding);
    }
    let whole = [
        b"openssh-key-v1\0".to_vec(),
        string(b"none"),
        string(b"none"),
        string(b""),
        1_u32.to_be_bytes().to_vec(),
        string(&blob),
        string(&private),
    ];
    Ok(Made {
        private: pem("OPENSSH PRIVATE KEY", &whole.concat(), 70),
        public: format!("ssh-ed25519 {}", STANDARD.encode(&blob)),
        fingerprint: fingerprint("ssh-ed25519", &blob),
    })
}

/// A pair of RSA keys of 2048 bits.
///
/// # Errors
/// When none can be made.
pub fn rsa() -> Result<Made, ApiError> {
    let failed = || ApiError::internal("an RSA key cannot be made".to_owned());
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_unspecified| failed())?;
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_unspecified| failed())?;
    let pkcs8: &[u8] = pkcs8.as_ref();
    // PKCS#8 is a version, an algorithm, and the key in PKCS#1.
    let (_, inside, _) = element(pkcs8).ok_or_else(failed)?;
    let (_, _, rest) = element(inside).ok_or_else(failed)?;
    let (_, _, rest) = element(rest).ok_or_else(failed)?;
    let (_, key, _) = element(rest).ok_or_else(failed)?;
    let (_, numbers, _) = element(key).ok_or_else(failed)?;
    let (_, _, rest) = element(numbers).ok_or_else(failed)?;
    let (_, modulus, rest) = element(rest).ok_or_else(failed)?;
    let (_, exponent, _) = element(rest).ok_or_else(failed)?;
    let blob = [string(b"ssh-rsa"), string(exponent), string(modulus)].concat();
    let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, pkcs8);
    Ok(Made {
        private: pem("RSA PRIVATE KEY", key, 64),
        public: format!("ssh-rsa {}", STANDARD.encode(&blob)),
        fingerprint: colons(sum.as_ref()),
    })
}

/// The first element of some DER: its tag, what is in it, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, first) = (*der.first()?, *der.get(1)?);
    let (begin, length) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        let bytes = der.get(2..2 + count)?;
        (
            2 + count,
            bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        )
    };
    Some((tag, der.get(begin..begin + length)?, der.get(begin + length..)?))
}

fn der(tag: u8, inside: &[u8]) -> Vec<u8> {
    let bytes = inside.len().to_be_bytes();
    let short: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match inside.len() {
        0..0x80 => out.push(short.first().copied().unwrap_or(0)),
        _ => {
            out.push(0x80 | u8::try_from(short.len()).unwrap_or(0));
            out.extend(&short);
        }
    }
    out.extend(inside);
    out
}

/// The fingerprint that EC2 shows of a public key that was imported, or of an Ed25519 key.
pub fn fingerprint(kind: &str, blob: &[u8]) -> String {
    if kind != "ssh-rsa" {
        return STANDARD.encode(digest::digest(&digest::SHA256, blob));
    }
    let mut rest = blob;
    let mut next = || {
        let length = usize::try_from(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
        let word = rest.get(4..4 + length)?;
        rest = rest.get(4 + length..)?;
        Some(word)
    };
    let words = (next(), next(), next());
    let (Some(_), Some(exponent), Some(modulus)) = words else {
        return String::new();
    };
    let numbers = der(0x30, &[der(0x02, modulus), der(0x02, exponent)].concat());
    // The algorithm is rsaEncryption, without parameters.
    let algorithm = der(
        0x30,
        &[&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1][..], &[5, 0]].concat(),
    );
    let bits = der(0x03, &[&[0][..], &numbers].concat());
    let sum = md5(&der(0x30, &[algorithm, bits].concat()));
    let pairs: Vec<&str> = (0..sum.len())
        .step_by(2)
        .filter_map(|place| sum.get(place..place + 2))
        .collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_are_read_in_three_forms() {
        let made = ed25519("name", [1, 2, 3, 4]).unwrap();
        let body = made.public.split_once(' ').unwrap().1;
        let (first, second) = body.split_at(30);
        let rfc4716 = format!(
            "---- BEGIN SSH2 PUBLIC KEY ----\nComment: on \\\nservers\nx-command: /bin/lock\n{first}\n{second}\n---- END SSH2 PUBLIC KEY ----"
        );
        let expected = read_public(&format!("{} somebody@somewhere", made.public)).unwrap();
        assert_eq!(expected.0, "ssh-ed25519");
        assert_eq!(read_public(&rfc4716), Some(expected.clone()));
        assert_eq!(read_public(body), Some(expected));
        assert_eq!(read_public("ssh-dss AAAAB3NzaC1kc3MAAACBAJ0aXctV"), None);
        assert_eq!(read_public("nothing"), None);
    }

    #[test]
    fn keys_are_in_the_forms_that_ssh_reads() {
        let made = ed25519("name", [1, 2, 3, 4]).unwrap();
        assert!(
            made.private
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA")
        );
        assert!(made.public.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"));
        let made = rsa().unwrap();
        assert!(made.private.starts_with("-----BEGIN RSA PRIVATE KEY-----\nMII"));
        assert!(made.public.starts_with("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB"));
        assert_eq!(made.fingerprint.len(), 59);
        let blob = STANDARD.decode(made.public.trim_start_matches("ssh-rsa ")).unwrap();
        assert_eq!(fingerprint("ssh-rsa", &blob).len(), 47);
    }
}
