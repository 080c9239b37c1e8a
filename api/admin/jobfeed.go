package admin

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// feeding sends the input of a job in the background.
type feeding struct {
	body   io.Reader
	seeker io.Seeker // of body; nil if it cannot seek
	start  int64     // position of seeker where the input begins

	closed  atomic.Bool
	sent    atomic.Pointer[requestBody] // the body of the latest request
	failure atomic.Pointer[error]       // why the input could not be sent
}

// SendAll sends the whole input of a job. If the connection breaks and body can seek, it continues where the job stopped
// reading. It returns when the job has read body, or has ended; if body cannot be sent, SendAll cancels the job.
func (c *Client) SendAll(ctx context.Context, id string, body io.Reader) (JobStatus, error) {
	f := newFeeding(body)
	defer f.close()
	if err := f.sendAll(ctx, c, id); err != nil {
		c.abandon(ctx, id)
		return JobStatus{}, f.cause(ctx, err)
	}
	return c.JobStatus(ctx, id)
}

// newFeeding returns what sends body to a job.
func newFeeding(body io.Reader) *feeding {
	f := &feeding{body: body}
	if seeker, ok := body.(io.Seeker); ok {
		if at, err := seeker.Seek(0, io.SeekCurrent); err == nil { // it fails for a pipe
			f.seeker, f.start = seeker, at
		}
	}
	return f
}

// feed sends body to a job, until ctx ends or close is called. It calls failed if that fails.
func (c *Client) feed(ctx context.Context, id string, body io.Reader, failed func()) *feeding {
	f := newFeeding(body)
	go func() {
		if err := f.sendAll(ctx, c, id); err != nil && ctx.Err() == nil {
			f.failure.Store(&err)
			failed()
		}
	}()
	return f
}

// sendAll sends the whole input. If the connection breaks and the body can seek, it continues where the job stopped reading.
func (f *feeding) sendAll(ctx context.Context, c *Client, id string) error {
	err := f.send(ctx, c, id, 0)
	for broken := time.Now(); err != nil && f.resumes(ctx, err) && time.Since(broken) < reconnectTimeout; {
		sleep(ctx, time.Second)
		var job JobStatus
		if job, err = c.JobStatus(ctx, id); err != nil || job.Input == nil || job.State != JobRunning {
			continue
		}
		f.sent.Load().stop()
		if _, err := f.seeker.Seek(f.start+job.Input.Offset, io.SeekStart); err != nil {
			return err
		}
		broken = time.Now()
		err = f.send(ctx, c, id, job.Input.Offset)
	}
	return err
}

// resumes reports whether sending can continue after an error.
func (f *feeding) resumes(ctx context.Context, err error) bool {
	return f.seeker != nil && ctx.Err() == nil && f.readErr() == nil && reconnects(err)
}

// send sends the rest of the body, which begins at an offset of the input.
func (f *feeding) send(ctx context.Context, c *Client, id string, offset int64) error {
	sent := newRequestBody(nil, f.body)
	f.sent.Store(sent)
	if f.closed.Load() {
		return errResponded
	}
	_, err := c.sendInput(ctx, id, offset, sent, true)
	return err
}

// readErr returns the error of reading the body, or nil.
func (f *feeding) readErr() error {
	if sent := f.sent.Load(); sent != nil {
		if err := sent.readErr.Load(); err != nil {
			return *err
		}
	}
	return nil
}

// close stops reading the body. It may be called on nil.
func (f *feeding) close() {
	if f == nil {
		return
	}
	f.closed.Store(true)
	if sent := f.sent.Load(); sent != nil {
		sent.Close()
	}
}

// cause returns why a job failed with err: the cause of ctx if that has ended, or the error of its input, which tells more.
// It may be called on nil.
func (f *feeding) cause(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case f == nil:
		return err
	}
	if failed := f.readErr(); failed != nil {
		return fmt.Errorf("read the data to send to the mirror: %w", failed)
	}
	if failed := f.failure.Load(); failed != nil {
		return connectionError(ctx, *failed)
	}
	return err
}
