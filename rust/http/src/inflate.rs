//! Answers that came compressed. They were asked for as they are; some gateways do not listen.

use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, CONTENT_ENCODING};

/// Undoes a `content-encoding`, as the bytes arrive.
pub(crate) enum Inflate {
    /// Nothing to undo, or nothing that is known.
    No,
    Gzip(MultiGzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
}

impl Inflate {
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let name = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
        match name {
            Some(b"gzip" | b"x-gzip") => Inflate::Gzip(MultiGzDecoder::new(Vec::new())),
            Some(b"deflate") => Inflate::Zlib(ZlibDecoder::new(Vec::new())),
            _ => Inflate::No,
        }
    }

    /// What *bytes* complete.
    ///
    /// # Errors
    ///
    /// They are not what the header said.
    pub(crate) fn feed(&mut self, bytes: Bytes) -> io::Result<Bytes> {
        let out = match self {
            Inflate::No => return Ok(bytes),
            Inflate::Gzip(decoder) => {
                decoder.write_all(&bytes)?;
                decoder.flush()?;
                decoder.get_mut()
            }
            Inflate::Zlib(decoder) => {
                decoder.write_all(&bytes)?;
                decoder.flush()?;
                decoder.get_mut()
            }
        };
        Ok(Bytes::from(std::mem::take(out)))
    }
}
