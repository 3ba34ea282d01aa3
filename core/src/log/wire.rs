//! Values as bytes: fixed lengths, little-endian, no value that its type would refuse.

use arrayvec::ArrayVec;

/// Where bytes go, in order.
pub(super) struct Put<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Put<'a> {
    /// Over bytes that are zero.
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn all(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// Leaves zeros.
    pub(super) fn skip(&mut self, len: usize) {
        self.at += len;
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }
}

/// Where bytes come from, in order.
pub(super) struct Take<'a> {
    bytes: &'a [u8],
}

impl<'a> Take<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn all<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    pub(super) fn skip(&mut self, len: usize) -> Option<()> {
        self.bytes = self.bytes.get(len..)?;
        Some(())
    }
}

/// A value with one length in bytes.
pub(super) trait Wire: Sized {
    /// Its length.
    const LEN: usize;
    /// Writes exactly [`Self::LEN`] bytes.
    fn put(&self, out: &mut Put<'_>);
    /// Reads exactly [`Self::LEN`] bytes; `None` when they are no such value.
    fn take(from: &mut Take<'_>) -> Option<Self>;
}

macro_rules! integers {
    ($($name:ty),*) => { $(
        impl Wire for $name {
            const LEN: usize = size_of::<$name>();
            fn put(&self, out: &mut Put<'_>) {
                out.all(&self.to_le_bytes());
            }
            fn take(from: &mut Take<'_>) -> Option<Self> {
                Some(Self::from_le_bytes(from.all()?))
            }
        }
    )* };
}
integers!(u8, u16, u32, u64, i32, i64, i128);

impl Wire for bool {
    const LEN: usize = 1;

    fn put(&self, out: &mut Put<'_>) {
        u8::from(*self).put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    const LEN: usize = 1 + T::LEN;

    fn put(&self, out: &mut Put<'_>) {
        self.is_some().put(out);
        match self {
            Some(value) => value.put(out),
            None => out.skip(T::LEN),
        }
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        if bool::take(from)? {
            return T::take(from).map(Some);
        }
        from.skip(T::LEN)?;
        Some(None)
    }
}

impl<T: Wire, const N: usize> Wire for [T; N] {
    const LEN: usize = N * T::LEN;

    fn put(&self, out: &mut Put<'_>) {
        self.iter().for_each(|item| item.put(out));
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let mut items = ArrayVec::new();
        for _ in 0..N {
            items.push(T::take(from)?);
        }
        items.into_inner().ok()
    }
}

impl<T: Wire, const N: usize> Wire for ArrayVec<T, N> {
    const LEN: usize = 1 + N * T::LEN;

    fn put(&self, out: &mut Put<'_>) {
        const { assert!(N <= u8::MAX as usize) };
        (self.len() as u8).put(out);
        self.iter().for_each(|item| item.put(out));
        out.skip((N - self.len()) * T::LEN);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let count = usize::from(u8::take(from)?);
        if count > N {
            return None;
        }
        let mut items = Self::new();
        for _ in 0..count {
            items.push(T::take(from)?);
        }
        from.skip((N - count) * T::LEN)?;
        Some(items)
    }
}

/// A struct is its fields, in the order given here.
macro_rules! fields {
    ($name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        impl Wire for $name {
            const LEN: usize = 0 $(+ <$kind as Wire>::LEN)*;
            fn put(&self, out: &mut Put<'_>) {
                $( self.$field.put(out); )*
            }
            fn take(from: &mut Take<'_>) -> Option<Self> {
                Some(Self { $( $field: <$kind as Wire>::take(from)? ),* })
            }
        }
    };
}

/// A new-type around one number without bounds of its own.
macro_rules! newtypes {
    ($($name:ident),*) => { $(
        impl Wire for $name {
            const LEN: usize = size_of::<$name>();
            fn put(&self, out: &mut Put<'_>) {
                self.0.put(out);
            }
            fn take(from: &mut Take<'_>) -> Option<Self> {
                Wire::take(from).map(Self)
            }
        }
    )* };
}

/// An enum without payloads: one byte each, never given twice and never reused.
macro_rules! codes {
    ($name:ident { $($variant:ident = $code:literal),* $(,)? }) => {
        impl Wire for $name {
            const LEN: usize = 1;
            fn put(&self, out: &mut Put<'_>) {
                let code: u8 = match self { $( Self::$variant => $code ),* };
                code.put(out);
            }
            fn take(from: &mut Take<'_>) -> Option<Self> {
                match u8::take(from)? {
                    $( $code => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }
    };
}

/// An enum with payloads: a byte that is never given twice and never reused, the fields, and zeros up
/// to the length of the longest.
macro_rules! variants {
    ($name:ident { $(
        $code:literal $pattern:pat => [$($field:ident: $kind:ty),*] $make:expr;
    )* }) => {
        impl Wire for $name {
            const LEN: usize = {
                let lens = [$( 0 $(+ <$kind as Wire>::LEN)* ),*];
                let (mut longest, mut at) = (0, 0);
                while at < lens.len() {
                    longest = if lens[at] > longest { lens[at] } else { longest };
                    at += 1;
                }
                1 + longest
            };
            fn put(&self, out: &mut Put<'_>) {
                match self { $( $pattern => {
                    let code: u8 = $code;
                    code.put(out);
                    $( Wire::put($field, out); )*
                    out.skip(Self::LEN - 1 - (0 $(+ <$kind as Wire>::LEN)*));
                } )* }
            }
            fn take(from: &mut Take<'_>) -> Option<Self> {
                match u8::take(from)? {
                    $( $code => {
                        $( let $field: $kind = Wire::take(from)?; )*
                        from.skip(Self::LEN - 1 - (0 $(+ <$kind as Wire>::LEN)*))?;
                        Some($make)
                    } )*
                    _ => None,
                }
            }
        }
    };
}

pub(super) use {codes, fields, newtypes, variants};
