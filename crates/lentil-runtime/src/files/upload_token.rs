use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

/// The time for which an upload URL is valid.
const VALIDITY_MS: f64 = 60.0 * 60.0 * 1e3;
/// The most by which the clock may have been set back since an upload URL was made.
const MAX_CLOCK_STEP_MS: f64 = 5.0 * 60.0 * 1e3;
/// Distinguishes these signatures from others that are made with the same key.
const PURPOSE: &[u8] = b"lentil: upload token, version 2\0";

/// Signs and checks the tokens of upload URLs. A token has its expiry time and a signature.
///
/// The server keeps no record of tokens, so a token may be used more than once.
pub(crate) struct UploadKey(hmac::Key);

/// The reason why an upload is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UploadTokenError {
    /// This server has not signed the token.
    #[error("the upload URL is not one of this server's; ask for a new one")]
    Invalid,
    /// The token is more than an hour old, or the clock has been set back since.
    #[error("the upload URL has expired; ask for a new one")]
    Expired,
}

impl UploadKey {
    pub(crate) fn new(secret: &[u8]) -> UploadKey {
        UploadKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Returns a token that is valid for an hour from `now_ms` on.
    ///
    /// `nonce` makes tokens of the same time distinct, because concurrent uses of each token are
    /// limited.
    pub(crate) fn sign(&self, now_ms: f64, nonce: u64) -> String {
        let expires = ((now_ms + VALIDITY_MS) as u64).to_be_bytes();
        let signed = [expires, nonce.to_be_bytes()].concat();
        let signature = hmac::sign(&self.0, &[PURPOSE, &signed].concat());
        BASE64URL_NOPAD.encode(&[&signed, signature.as_ref()].concat())
    }

    /// Checks that a token is valid at `now_ms`.
    pub(crate) fn check(&self, token: &str, now_ms: f64) -> Result<(), UploadTokenError> {
        let decoded = BASE64URL_NOPAD
            .decode(token.as_bytes())
            .map_err(|_| UploadTokenError::Invalid)?;
        let (signed, signature) = decoded
            .split_first_chunk::<16>()
            .ok_or(UploadTokenError::Invalid)?;
        hmac::verify(&self.0, &[PURPOSE, &signed[..]].concat(), signature)
            .map_err(|_| UploadTokenError::Invalid)?;
        let (expires, _nonce) = signed
            .split_first_chunk()
            .expect("16 bytes are more than 8");
        let left_ms = u64::from_be_bytes(*expires) as f64 - now_ms;
        // A token that seems to come from the future was made while the clock was ahead.
        if (0.0..=VALIDITY_MS + MAX_CLOCK_STEP_MS).contains(&left_ms) {
            Ok(())
        } else {
            Err(UploadTokenError::Expired)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_valid_for_an_hour_with_its_key() {
        let key = UploadKey::new(b"a key");
        let token = key.sign(1_000.0, 7);
        assert_eq!(key.check(&token, 1_000.0 + VALIDITY_MS), Ok(()));
        assert_eq!(
            key.check(&token, 1_001.0 + VALIDITY_MS),
            Err(UploadTokenError::Expired)
        );
        assert_eq!(
            UploadKey::new(b"another").check(&token, 1_000.0),
            Err(UploadTokenError::Invalid)
        );
    }

    #[test]
    fn token_of_a_clock_ahead_is_not_valid_for_longer() {
        let key = UploadKey::new(b"a key");
        let two_days_ms = 48.0 * VALIDITY_MS;
        let token = key.sign(two_days_ms, 7);
        assert_eq!(key.check(&token, 0.0), Err(UploadTokenError::Expired));
        let step_ms = 1_000.0;
        assert_eq!(key.check(&token, two_days_ms - step_ms), Ok(()));
    }

    #[test]
    fn tokens_of_the_same_time_differ() {
        let key = UploadKey::new(b"a key");
        assert_ne!(key.sign(1_000.0, 1), key.sign(1_000.0, 2));
    }

    #[test]
    fn changed_token_is_invalid() {
        let key = UploadKey::new(b"a key");
        let token = key.sign(1_000.0, 7);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                key.check(&changed, 1_000.0),
                Err(UploadTokenError::Invalid),
                "{changed}"
            );
            assert_eq!(
                key.check(&token[..at], 1_000.0),
                Err(UploadTokenError::Invalid)
            );
        }
    }
}
