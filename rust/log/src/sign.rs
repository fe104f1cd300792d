//! Signatures of seals: who holds the key says that the log was this, up to here.
//!
//! Signed is `log id || last || h_last`: 16 bytes, 8 bytes big-endian, 32 bytes. Written as
//! `hmac-sha256:<64 hex>` (RFC 2104) or `ed25519:<128 hex>` (RFC 8032).

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey, ED25519};

use crate::blobs::hex;
use crate::chain::Hash;
use crate::checksum::LogId;

const HMAC: &str = "hmac-sha256:";
const ED: &str = "ed25519:";
/// A shorter secret can be guessed.
pub const SECRET_BYTES_MIN: usize = 16;

/// A key that seals can be checked with, and signed unless it is only the public half.
#[derive(Clone)]
pub struct Key(Arc<Kind>);

enum Kind {
    Hmac(hmac::Key),
    Pair(Ed25519KeyPair),
    Public(Vec<u8>),
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secret.
        out.write_str(match *self.0 {
            Kind::Hmac(_) => "Key(hmac-sha256)",
            Kind::Pair(_) => "Key(ed25519)",
            Kind::Public(_) => "Key(ed25519, public)",
        })
    }
}

impl Key {
    /// Makes a key of *bytes*, as *algorithm* says: `hmac-sha256` (a secret of 16 bytes or more),
    /// `ed25519` (a seed of 32), `ed25519-public` (32). `None` for anything else.
    pub fn new(algorithm: &str, bytes: &[u8]) -> Option<Key> {
        let kind = match algorithm {
            "hmac-sha256" if bytes.len() >= SECRET_BYTES_MIN => {
                Kind::Hmac(hmac::Key::new(hmac::HMAC_SHA256, bytes))
            }
            "ed25519" => Kind::Pair(Ed25519KeyPair::from_seed_unchecked(bytes).ok()?),
            "ed25519-public" if bytes.len() == 32 => Kind::Public(bytes.to_vec()),
            _ => return None,
        };
        Some(Key(Arc::new(kind)))
    }

    /// The half that may be given away; `None` for a secret that both sides hold.
    pub fn public(&self) -> Option<Vec<u8>> {
        match self.0.as_ref() {
            Kind::Hmac(_) => None,
            Kind::Pair(pair) => Some(pair.public_key().as_ref().to_vec()),
            Kind::Public(bytes) => Some(bytes.clone()),
        }
    }

    /// Whether it can sign.
    pub fn can_sign(&self) -> bool {
        !matches!(*self.0, Kind::Public(_))
    }

    /// The signature at record *last*; `None` with only a public key.
    pub fn sign(&self, id: &LogId, last: u64, head: &Hash) -> Option<String> {
        let message = message(id, last, head);
        match self.0.as_ref() {
            Kind::Hmac(key) => Some(format!("{HMAC}{}", hex(hmac::sign(key, &message).as_ref()))),
            Kind::Pair(pair) => Some(format!("{ED}{}", hex(pair.sign(&message).as_ref()))),
            Kind::Public(_) => None,
        }
    }

    /// Whether *signature* is by the holder of this key.
    pub fn is_by(&self, signature: &str, id: &LogId, last: u64, head: &Hash) -> bool {
        let message = message(id, last, head);
        match self.0.as_ref() {
            Kind::Hmac(key) => signature
                .strip_prefix(HMAC)
                .and_then(unhex)
                .is_some_and(|tag| hmac::verify(key, &message, &tag).is_ok()),
            Kind::Pair(pair) => is_signed(pair.public_key().as_ref(), signature, &message),
            Kind::Public(bytes) => is_signed(bytes, signature, &message),
        }
    }
}

fn message(id: &LogId, last: u64, head: &Hash) -> Vec<u8> {
    [&id.bytes()[..], &last.to_be_bytes(), head].concat()
}

fn is_signed(public: &[u8], signature: &str, message: &[u8]) -> bool {
    let bytes = signature.strip_prefix(ED).and_then(unhex);
    let key = UnparsedPublicKey::new(&ED25519, public);
    bytes.is_some_and(|bytes| key.verify(message, &bytes).is_ok())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then_some(())?;
    digits.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> LogId {
        LogId::new([4; 16])
    }

    #[test]
    fn both_kinds_sign_and_know_their_own() {
        for algorithm in ["hmac-sha256", "ed25519"] {
            let key = Key::new(algorithm, &[7; 32]).expect("a key");
            let signature = key.sign(&id(), 18, &[5; 32]).expect("signed");
            assert!(signature.starts_with(algorithm), "{signature}");
            assert!(key.is_by(&signature, &id(), 18, &[5; 32]));
            assert!(!key.is_by(&signature, &id(), 19, &[5; 32]));
            assert!(!key.is_by(&signature, &id(), 18, &[6; 32]));
            assert!(!key.is_by(&signature, &LogId::new([5; 16]), 18, &[5; 32]));
            let other = Key::new(algorithm, &[8; 32]).expect("a key");
            assert!(!other.is_by(&signature, &id(), 18, &[5; 32]));
        }
    }

    #[test]
    fn the_public_half_checks_and_cannot_sign() {
        let key = Key::new("ed25519", &[7; 32]).expect("a key");
        let public = key.public().expect("a public half");
        let public = Key::new("ed25519-public", &public).expect("a key");
        let signature = key.sign(&id(), 18, &[5; 32]).expect("signed");
        assert!(public.is_by(&signature, &id(), 18, &[5; 32]));
        assert!(!public.can_sign() && public.sign(&id(), 18, &[5; 32]).is_none());
        let secret = Key::new("hmac-sha256", &[7; 32]).expect("a key");
        assert!(secret.public().is_none());
    }

    #[test]
    fn ed25519_is_that_of_rfc_8032() {
        // Section 7.1, test 1: the seed and its public key.
        let seed = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let key = Key::new("ed25519", &seed.expect("hex")).expect("a key");
        assert_eq!(
            hex(&key.public().expect("a public half")),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Key::new("hmac-sha256", b"short").is_none());
        assert!(Key::new("ed25519", &[1; 31]).is_none());
        assert!(Key::new("rsa", &[1; 32]).is_none());
    }
}
