//! When a provider says that a request may be sent again.
//!
//! No clock: dates are compared with the answer's own `date` header.

use crate::json::{self, Node};

/// Seconds to wait, from headers (names in any case) or the body; None if nobody said.
pub(crate) fn retry_after_s(headers: &[(String, String)], error: &Node) -> Option<f64> {
    let header = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let now_s = || http_date_s(header("date")?);
    // Azure was recorded with `retry-after-ms: 0` beside a real `retry-after`.
    let exact = header("retry-after-ms")
        .and_then(|value| value.parse::<f64>().ok())
        .filter(|delay_ms| delay_ms.is_finite() && *delay_ms > 0.0)
        .map(|delay_ms| delay_ms / 1000.0);
    let whole = || {
        let value = header("retry-after")?;
        // Gateways add a header of their own, or the unit.
        let first = value.split(',').next().unwrap_or("").trim();
        match first.strip_suffix('s').unwrap_or(first).parse::<f64>() {
            Ok(delay_s) => Some(delay_s),
            Err(_) => Some((http_date_s(value)? - now_s()?) as f64),
        }
    };
    let reset = || Some(reset_s(error)? - now_s()? as f64);
    exact
        .or_else(whole)
        .or_else(|| retry_info_s(error))
        .or_else(reset)
        .filter(|delay_s| delay_s.is_finite())
        .map(|delay_s| delay_s.max(0.0))
}

/// Gemini: `error.details[].retryDelay`, as in "48s".
fn retry_info_s(error: &Node) -> Option<f64> {
    let details = error.get("details")?.as_array()?;
    let delay = details
        .iter()
        .map(|detail| json::text(detail, "retryDelay"))
        .find(|delay| !delay.is_empty())?;
    delay.strip_suffix('s')?.parse().ok()
}

/// OpenRouter: `error.metadata.headers.X-RateLimit-Reset`, in milliseconds since 1970.
fn reset_s(error: &Node) -> Option<f64> {
    let headers = error.get("metadata")?.get("headers")?;
    Some(json::integer(headers, "X-RateLimit-Reset")? as f64 / 1000.0)
}

/// Seconds since 1970 of an IMF-fixdate (RFC 9110, section 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
fn http_date_s(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next().filter(|name| name.len() == 3)?;
    let month = MONTHS.find(month).filter(|at| at % 3 == 0)? as i64 / 3 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(str::parse::<i64>);
    let mut next = || time.next()?.ok();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    let is_time = (0..=23).contains(&hours)
        && (0..=59).contains(&minutes)
        // A leap second.
        && (0..=60).contains(&seconds);
    if !(1..=31).contains(&day) || !(1970..=9999).contains(&year) || !is_time {
        return None;
    }
    // Days from the civil calendar, years beginning in March (H. Hinnant, "chrono-compatible
    // low-level date algorithms").
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year - year.div_euclid(400) * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
        - 719_468;
    Some(days * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn delay(headers: &[(&str, &str)], error: &Node) -> Option<f64> {
        let own: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        retry_after_s(&own, error)
    }

    #[test]
    fn dates_of_http() {
        assert_eq!(
            http_date_s("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            http_date_s("Thu, 29 Feb 2024 00:00:00 GMT"),
            Some(1_709_164_800)
        );
        for text in [
            "",
            "soon",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49",
            "Sun, 06 Nov 1994 9223372036854775807:49:37 GMT",
        ] {
            assert_eq!(http_date_s(text), None, "{text}");
        }
    }

    #[test]
    fn each_place_where_a_delay_may_be() {
        let none = Node::Null;
        assert_eq!(
            delay(&[("Retry-After", "7"), ("retry-after-ms", "0")], &none),
            Some(7.0)
        );
        assert_eq!(delay(&[("retry-after-ms", "1500")], &none), Some(1.5));
        let dates = [
            ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        assert_eq!(delay(&dates, &none), Some(3.0));
        assert_eq!(delay(&dates[..1], &none), None);
        let google = json!({"details": [{"@type": "x"}, {"retryDelay": "48.5s"}]}).into();
        assert_eq!(delay(&[], &google), Some(48.5));
        let router = json!({"metadata": {"headers": {"X-RateLimit-Reset": "784111787000"}}}).into();
        assert_eq!(delay(&dates[1..], &router), Some(10.0));
        assert_eq!(delay(&[("retry-after", "-3")], &none), Some(0.0));
        assert_eq!(delay(&[("retry-after", "7, 8")], &none), Some(7.0));
        assert_eq!(delay(&[("retry-after", "6s")], &none), Some(6.0));
        assert_eq!(delay(&[("retry-after", "soon, or later")], &none), None);
    }
}
