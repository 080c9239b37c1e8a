package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"airmirror/mirror"
)

// Job runs the [Job] of that name with request, and calls each with every event. body, unless it is nil, is sent while the
// job runs, up to the point that the job reads to; a read of it may still be in progress when Job returns, but none begins
// after that. When ctx ends, reading body fails, or each returns an error, Job cancels the job. If the connection breaks,
// Job connects again; the mirror cancels the job if that does not succeed within 30 seconds.
func (c *Client) Job(ctx context.Context, name string, request any, body io.Reader, each func(Event) error) error {
	job, err := c.startJob(ctx, name, request, body != nil, true)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var fed *feeding
	if body != nil {
		fed = c.feed(watching, job.ID, body, stop)
		defer fed.close()
	}
	err = c.watchJob(watching, job.ID, true, 0, each)
	if err != nil {
		c.abandon(ctx, job.ID) // if it has not ended
	}
	return fed.cause(ctx, err)
}

// StartJob starts the [Job] of that name, which goes on without its client. input says that the job reads input, which
// [Client.SendInput] sends.
func (c *Client) StartJob(ctx context.Context, name string, request any, input bool) (JobStatus, error) {
	return c.startJob(ctx, name, request, input, false)
}

func (c *Client) startJob(ctx context.Context, name string, request any, input, attached bool) (job JobStatus, err error) {
	query := url.Values{}
	if input {
		query.Set("input", "1")
	}
	if attached {
		query.Set("attached", "1")
	}
	return job, c.call(ctx, http.MethodPost, "jobs/"+url.PathEscape(name)+"?"+query.Encode(), nullIfNone(request), &job)
}

// Jobs lists the jobs of the mirror, the latest first: those that run, and those that ended lately.
func (c *Client) Jobs(ctx context.Context) (jobs []JobStatus, err error) {
	return jobs, c.call(ctx, http.MethodGet, "jobs", nil, &jobs)
}

// JobStatus describes a job.
func (c *Client) JobStatus(ctx context.Context, id string) (job JobStatus, err error) {
	return job, c.call(ctx, http.MethodGet, "jobs/"+url.PathEscape(id), nil, &job)
}

// CancelJob cancels a job, which ends soon after that.
func (c *Client) CancelJob(ctx context.Context, id string) (job JobStatus, err error) {
	return job, c.call(ctx, http.MethodDelete, "jobs/"+url.PathEscape(id), nil, &job)
}

// WatchJob calls each with every event of a job after the one with the number after, until the job ends. It returns the
// error of the job. The job goes on when ctx ends.
func (c *Client) WatchJob(ctx context.Context, id string, after int64, each func(Event) error) error {
	return c.watchJob(ctx, id, false, after, each)
}

// SendInput sends a part of the input of a job, which begins at offset. The input ends with body if whole is set. It returns
// when the job has read body, or has ended.
func (c *Client) SendInput(ctx context.Context, id string, offset int64, body io.Reader, whole bool) (job JobStatus, err error) {
	sent := newRequestBody(nil, body)
	defer sent.Close()
	if job, err = c.sendInput(ctx, id, offset, sent, whole); err == nil {
		sent.stop() // the caller may use body afterwards
	}
	return job, sent.cause(ctx, err)
}

func (c *Client) sendInput(ctx context.Context, id string, offset int64, sent *requestBody, whole bool) (job JobStatus, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, baseURL+"jobs/"+url.PathEscape(id)+"/input", sent)
	if err != nil {
		return job, err
	}
	req.Header.Set(offsetHeader, strconv.FormatInt(offset, 10))
	req.Header.Set(completeHeader, map[bool]string{true: "?1", false: "?0"}[whole])
	return job, c.decode(ctx, req, &job)
}

// abandon cancels a job whose client gives up.
func (c *Client) abandon(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = c.CancelJob(ctx, id) // if it fails, the mirror cancels the job for lack of a client
}

// reconnectTimeout is how long a client tries to connect again.
const reconnectTimeout = 25 * time.Second

// watchJob watches a job. It connects again when the connection breaks, unless the mirror does not run any more.
func (c *Client) watchJob(ctx context.Context, id string, owner bool, after int64, each func(Event) error) error {
	query := url.Values{}
	if owner {
		query.Set("attach", "1")
	}
	stopped, ended := error(nil), false
	for broken := (time.Time{}); ; {
		query.Set("after", strconv.FormatInt(after, 10))
		err := c.readLines(ctx, http.MethodGet, "jobs/"+url.PathEscape(id)+"/events?"+query.Encode(), nil, nil, eachEvent(func(e Event) error {
			broken, after = time.Time{}, max(after, e.ID)
			if ended = e.Kind == KindEnd; !ended {
				stopped = each(e)
			}
			return stopped
		}))
		if err == nil && !ended {
			err = connectionError(ctx, io.ErrUnexpectedEOF)
		}
		if broken.IsZero() {
			broken = time.Now()
		}
		if err == nil || stopped != nil || ctx.Err() != nil || !reconnects(err) || time.Since(broken) > reconnectTimeout {
			return err
		}
		sleep(ctx, time.Second)
	}
}

// reconnects reports whether a request that failed with err may succeed later.
func reconnects(err error) bool {
	refused := (*mirror.Error)(nil)
	gone := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
	return !gone && !errors.As(err, &refused)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
