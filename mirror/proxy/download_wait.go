package proxy

import (
	"context"
	"io"

	"airmirror/mirror"
)

// wait calls check under the lock, now and after each change, until it returns true or ctx ends.
func (d *download) wait(ctx context.Context, check func() (done bool)) error {
	for {
		d.mu.Lock()
		done, changed := check(), d.changed
		d.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waitStarted waits until a first byte can be read or the download has failed. The size is -1 if the upstream does not
// state it.
func (d *download) waitStarted(ctx context.Context) (state downloadState, size int64, err error) {
	ended := d.wait(ctx, func() bool {
		state, size, err = d.state, d.size, nil
		switch {
		case state == downloadStored || state == downloadVerified:
			return true
		case d.err != nil:
			size, err = 0, d.err
			return true
		case state == downloadRunning && size > 0: // the size is stated, so headers can be sent before the first byte
			return true
		}
		// The last byte is held back, and without a size any byte may be the last.
		return state == downloadRunning && size < 0 && d.received > 1
	})
	if ended != nil {
		return state, 0, ended
	}
	return state, size, err
}

// waitSize waits until the size of the blob is known. If the upstream does not state it, that is at the end.
func (d *download) waitSize(ctx context.Context) (size int64, err error) {
	ended := d.wait(ctx, func() bool {
		if d.state >= downloadVerified || d.state == downloadRunning && d.size >= 0 {
			size, err = d.size, nil
			return true
		}
		err = d.err
		return err != nil
	})
	if ended != nil {
		return 0, ended
	}
	return size, err
}

// waitStored waits until the store has the blob or the download has failed.
func (d *download) waitStored(ctx context.Context) error {
	var err error
	ended := d.wait(ctx, func() bool {
		err = d.err
		return d.state == downloadStored || err != nil
	})
	if ended != nil {
		return ended
	}
	return err
}

// report waits until the download has ended, and reports to progress what arrives of a blob of size bytes.
func (d *download) report(ctx context.Context, size int64, progress mirror.Progress) error {
	var reported int64
	for done := false; !done; {
		var received int64
		err := d.wait(ctx, func() bool {
			received = d.received
			done = d.state == downloadStored || d.err != nil
			return done || received != reported
		})
		if err != nil {
			return err
		}
		progress.AddDone(received - reported)
		reported = received
	}
	err := d.waitStored(ctx)
	if err == nil {
		progress.AddDone(size - reported) // what did not have to be transferred
	}
	return err
}

// waitReadable waits until bytes at off can be read, and returns the offset of the end of the readable bytes. The last
// byte is held back until all bytes are verified, so that no client takes wrong bytes for a complete blob. If the size
// is unknown, the byte that arrived last is held back. At the end of the blob it returns [io.EOF].
func (d *download) waitReadable(ctx context.Context, off int64) (end int64, err error) {
	ended := d.wait(ctx, func() bool {
		verified := d.state >= downloadVerified
		end, err = d.received, d.err
		if isStoreError(err) && !verified { // these bytes will never be verified
			end = 0
		}
		if !verified && (end == d.size || d.size < 0) {
			end--
		}
		switch {
		case off < end:
			err = nil
			return true
		case verified:
			err = io.EOF
			return true
		}
		return err != nil
	})
	switch {
	case ended != nil:
		return 0, ended
	case err != nil:
		return 0, err
	}
	return end, nil
}
