//! AES in the two modes of the providers `aesgcm` and `aescbc`.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey};
use aws_lc_rs::cipher::{PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use clock::Random;

/// Length of a block of AES, and of what `aescbc` begins with.
const BLOCK: usize = 16;

const TOO_SHORT: &str = "the stored data was shorter than the required size";

fn gcm(secret: &[u8]) -> Result<LessSafeKey, String> {
    let algorithm = match secret.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let key = UnboundKey::new(algorithm, secret).map_err(|error| error.to_string())?;
    Ok(LessSafeKey::new(key))
}

/// A nonce, and what AES in Galois counter mode makes of the value.
pub(super) fn seal_gcm(secret: &[u8], random: &dyn Random, additional: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
    let mut nonce = [0; aead::NONCE_LEN];
    random.bytes(&mut nonce);
    let mut body = value.to_vec();
    gcm(secret)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(additional), &mut body)
        .map_err(|error| error.to_string())?;
    Ok([nonce.as_slice(), &body].concat())
}

pub(super) fn open_gcm(secret: &[u8], additional: &[u8], stored: &[u8]) -> Result<Vec<u8>, String> {
    let (nonce, body) = stored.split_at_checked(aead::NONCE_LEN).ok_or(TOO_SHORT)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|error| error.to_string())?;
    let mut body = body.to_vec();
    let opened = gcm(secret)?.open_in_place(nonce, Aad::from(additional), &mut body);
    // Go's words.
    let opened = opened.map_err(|_changed| "cipher: message authentication failed".to_owned())?;
    Ok(opened.to_vec())
}

fn cbc(secret: &[u8]) -> Result<UnboundCipherKey, String> {
    let algorithm = match secret.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    UnboundCipherKey::new(algorithm, secret).map_err(|error| error.to_string())
}

pub(super) fn seal_cbc(secret: &[u8], random: &dyn Random, value: &[u8]) -> Result<Vec<u8>, String> {
    let mut vector = [0; BLOCK];
    random.bytes(&mut vector);
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(cbc(secret)?).map_err(|error| error.to_string())?;
    let mut body = value.to_vec();
    let context = EncryptionContext::Iv128(FixedLength::from(vector));
    key.less_safe_encrypt(&mut body, context)
        .map_err(|error| error.to_string())?;
    Ok([vector.as_slice(), &body].concat())
}

pub(super) fn open_cbc(secret: &[u8], stored: &[u8]) -> Result<Vec<u8>, String> {
    let (vector, body) = stored.split_first_chunk::<BLOCK>().ok_or(TOO_SHORT)?;
    if body.len() % BLOCK != 0 {
        return Err("the stored data is not a multiple of the block size".to_owned());
    }
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(cbc(secret)?).map_err(|error| error.to_string())?;
    let mut body = body.to_vec();
    let context = DecryptionContext::Iv128(FixedLength::from(*vector));
    let opened = key.decrypt(&mut body, context);
    let opened = opened.map_err(|_padding| "invalid padding on input".to_owned())?;
    Ok(opened.to_vec())
}
