package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"airmirror/mirror"
)

// inputTimeout is how long a job waits for a request that sends its input. It leaves time to find a network again, and
// ends a forgotten import, which keeps other imports and the collector waiting.
const inputTimeout = 10 * time.Minute

// JobInput is the state of the input of a job.
type JobInput struct {
	// Offset is how many bytes the job has read. A client continues there after its connection was cut.
	Offset int64 `json:"offset"`
	// Complete means that the job has read its whole input.
	Complete bool `json:"complete"`
}

// jobInput is the input of a job, which arrives in one request or in several. The goroutine of a request reads the body
// into the buffer that the job reads to, so that nothing is copied, and nothing is read that the job does not take.
type jobInput struct {
	ctx    context.Context // of the job
	wanted chan []byte     // buffers of the job
	filled chan int        // how much of a buffer was filled

	mu      sync.Mutex
	state   JobInput
	all     chan struct{} // closed when the input is complete
	current *inputFeed    // the request that sends input; nil for none
	timeout *time.Timer
}

// inputFeed is a request that sends input.
type inputFeed struct {
	interrupt context.CancelFunc
	done      chan struct{}
}

// newJobInput returns the input of a job. cancel is called when no input arrives for too long.
func newJobInput(ctx context.Context, cancel context.CancelCauseFunc) *jobInput {
	in := &jobInput{ctx: ctx, wanted: make(chan []byte), filled: make(chan int), all: make(chan struct{})}
	in.timeout = time.AfterFunc(inputTimeout, func() {
		cancel(mirror.Errorf(mirror.CodeUnavailable, "the rest of the input did not arrive within %s", inputTimeout))
	})
	return in
}

// reader returns the reader for the job. It fails when the job ends, so that a part of the input is never mistaken for
// all of it.
func (in *jobInput) reader() io.Reader { return bufio.NewReaderSize(readerFunc(in.read), bufferSize) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (in *jobInput) read(p []byte) (int, error) {
	for len(p) > 0 {
		select {
		case in.wanted <- p:
			if n := <-in.filled; n > 0 {
				return n, nil
			}
		case <-in.all:
			return 0, io.EOF
		case <-in.ctx.Done():
			return 0, context.Cause(in.ctx)
		}
	}
	return 0, nil
}

// now returns the state of the input.
func (in *jobInput) now() JobInput {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state
}

// interruptFeed ends the request that sends input, if there is one, and waits for it. Its client has probably lost the
// connection.
func (in *jobInput) interruptFeed() {
	in.mu.Lock()
	current := in.current
	in.mu.Unlock()
	if current != nil {
		current.interrupt()
		<-current.done
	}
}

// begin makes a request the one that sends input. The caller calls end.
func (in *jobInput) begin(offset int64, interrupt context.CancelFunc) (end func(), err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.current != nil:
		return nil, mirror.Errorf(mirror.CodeUploadBusy, "another request sends the input of the job")
	case offset != in.state.Offset:
		return nil, mirror.Errorf(mirror.CodeRangeInvalid, "the input continues at byte %d, not %d", in.state.Offset, offset)
	}
	in.timeout.Stop()
	feed := &inputFeed{interrupt, make(chan struct{})}
	in.current = feed
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.current = nil
		close(feed.done)
		if !in.state.Complete && in.ctx.Err() == nil {
			in.timeout.Reset(inputTimeout)
		}
	}, nil
}

// feed passes the body of a request to the job, until the body or the job ends. whole says that the input ends with the
// body. An error means that the body broke off; the job waits for the rest.
func (in *jobInput) feed(w http.ResponseWriter, r *http.Request, offset int64, whole bool) error {
	in.interruptFeed()
	ctx, interrupt := context.WithCancel(r.Context())
	defer interrupt()
	end, err := in.begin(offset, interrupt)
	if err != nil {
		return err
	}
	defer end()
	defer context.AfterFunc(in.ctx, interrupt)()
	defer context.AfterFunc(ctx, func() { unblock(w, r) })()
	left := r.ContentLength // -1 if it is unknown
	for left != 0 {
		select {
		case p := <-in.wanted:
			n, err := r.Body.Read(p)
			if left > 0 {
				left = max(0, left-int64(n))
			}
			in.advance(n)
			if errors.Is(err, io.EOF) && left <= 0 {
				left, err = 0, nil
			}
			if left == 0 && whole { // before the job reads on
				in.complete()
			}
			in.filled <- n
			if err != nil {
				return interrupted(ctx, in.ctx, err)
			}
		case <-ctx.Done():
			return interrupted(ctx, in.ctx, ctx.Err())
		}
	}
	if whole {
		in.complete()
	}
	return nil
}

// unblock ends a read of the body of a request.
func unblock(w http.ResponseWriter, r *http.Request) {
	if http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) != nil {
		r.Body.Close() // of a request in this process
	}
}

// interrupted returns the error of a body that broke off with err: nil if the job has ended and needs no more input.
func interrupted(ctx, job context.Context, err error) error {
	switch {
	case job.Err() != nil:
		return nil
	case ctx.Err() != nil:
		return mirror.Errorf(mirror.CodeUploadBusy, "another request continued the input of the job")
	}
	return mirror.Errorf(mirror.CodeUnavailable, "read the input of the job: %w", err)
}

func (in *jobInput) advance(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.state.Offset += int64(n)
}

func (in *jobInput) complete() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.state.Complete {
		in.state.Complete = true
		close(in.all)
	}
}
