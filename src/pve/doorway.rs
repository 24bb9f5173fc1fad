//! The last place where a change can be held back.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::ports::Departure;

/// A connection that asks whether the change may still leave when its first byte is about to, and never again: what has
/// begun to leave has to leave whole.
pub(super) struct Doorway<T> {
    connection: T,
    departure: Departure,
    has_left: Left,
}

/// Whether anything of a change may have left.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<AtomicBool>);

impl Left {
    pub(super) fn yet(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl<T> Doorway<T> {
    pub(super) fn before(connection: T, departure: Departure, has_left: Left) -> Self {
        Self { connection, departure, has_left }
    }

    fn pass(&self) -> io::Result<()> {
        if !self.has_left.yet() {
            self.departure.left().map_err(io::Error::other)?;
            self.has_left.0.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Doorway<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Doorway<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pass()?;
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pass()?;
        Pin::new(&mut self.connection).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}
