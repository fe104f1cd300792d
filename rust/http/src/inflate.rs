//! Answers that came compressed. They were asked for as they are; some gateways do not listen.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, CONTENT_ENCODING};

/// Undoes a `content-encoding`, as the bytes arrive.
pub(crate) enum Inflate {
    No,
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate`, before the first byte tells of which kind it is.
    Deflate,
    Zlib(ZlibDecoder<Vec<u8>>),
    /// What some servers take `deflate` for (RFC 9110, section 8.4.1.2).
    Raw(DeflateDecoder<Vec<u8>>),
}

impl Inflate {
    /// Undoes what *headers* name.
    ///
    /// # Errors
    ///
    /// It cannot be undone; what they name.
    pub(crate) fn new(headers: &HeaderMap) -> Result<Self, String> {
        let listed = headers.get_all(CONTENT_ENCODING).into_iter();
        let listed: Vec<_> = listed
            .map(|it| String::from_utf8_lossy(it.as_bytes()))
            .collect();
        let named = listed.join(",").to_ascii_lowercase();
        let names = named.split(',').map(str::trim);
        let mut names = names.filter(|name| !matches!(*name, "" | "identity"));
        match (names.next(), names.next()) {
            (None, _) => Ok(Inflate::No),
            (Some("gzip" | "x-gzip"), None) => Ok(Inflate::Gzip(MultiGzDecoder::new(Vec::new()))),
            (Some("deflate"), None) => Ok(Inflate::Deflate),
            _ => Err(named),
        }
    }

    /// What *bytes* complete.
    ///
    /// # Errors
    ///
    /// They are not what the header said.
    pub(crate) fn feed(&mut self, bytes: Bytes) -> io::Result<Bytes> {
        if let (Inflate::Deflate, Some(first)) = (&self, bytes.first()) {
            // RFC 1950, section 2.2: the method of compression, of which there is one.
            *self = match first & 0x0F {
                8 => Inflate::Zlib(ZlibDecoder::new(Vec::new())),
                _ => Inflate::Raw(DeflateDecoder::new(Vec::new())),
            };
        }
        match self {
            Inflate::No | Inflate::Deflate => Ok(bytes),
            Inflate::Gzip(decoder) => taken(decoder, &bytes, MultiGzDecoder::get_mut),
            Inflate::Zlib(decoder) => taken(decoder, &bytes, ZlibDecoder::get_mut),
            Inflate::Raw(decoder) => taken(decoder, &bytes, DeflateDecoder::get_mut),
        }
    }
}

fn taken<D: Write>(
    decoder: &mut D,
    bytes: &[u8],
    out: fn(&mut D) -> &mut Vec<u8>,
) -> io::Result<Bytes> {
    decoder.write_all(bytes)?;
    decoder.flush()?;
    Ok(Bytes::from(std::mem::take(out(decoder))))
}
