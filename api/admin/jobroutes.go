package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"go.uber.org/zap"

	"airmirror/mirror"
)

// Headers of the input of a job, which is sent like a resumable upload:
// https://datatracker.ietf.org/doc/draft-ietf-httpbis-resumable-upload/
const (
	offsetHeader   = "Upload-Offset"   // where the body begins, or the input continues
	completeHeader = "Upload-Complete" // ?1 if the input ends with the body, else ?0
)

// Close cancels all jobs with [ErrShutdown], and waits for them until ctx ends. Their watchers receive it. No job can be
// started after that.
func (h *Handler) Close(ctx context.Context) error {
	return h.jobs.close(ctx, mirror.Errorf(mirror.CodeUnavailable, "the job was canceled: %w", ErrShutdown))
}

// addJob adds a job with a request.
func (h *Handler) addJob(j *job, request json.RawMessage) error {
	if h.opts.Detail != nil {
		j.detail = h.opts.Detail(j.name, request)
	}
	return h.jobs.add(j)
}

// endJob reports the change, and records the end of the job.
func (h *Handler) endJob(j *job, request json.RawMessage, err error) {
	var failure *errorBody
	if err != nil {
		body := h.errorBody(j.request, err)
		failure = &body
	}
	h.notify(j.request, j.name, request, err) // before a client learns that the job has ended
	j.end(failure, func(s JobStatus) { h.jobs.records.save(s) })
}

// startJob starts a job. It answers with the state of the job, which goes on without its client unless it is attached.
func (h *Handler) startJob(w http.ResponseWriter, r *http.Request) error {
	work, known := h.opts.Jobs[r.PathValue("name")]
	if !known {
		return h.unknown(w, r)
	}
	request, err := readBody(w, r)
	if err != nil {
		return err
	}
	if len(request) == 0 {
		request = []byte("null")
	}
	j := newJob(context.WithoutCancel(r.Context()), r.PathValue("name"), r)
	query := r.URL.Query()
	if query.Get("input") == "1" {
		j.input = newJobInput(j.ctx, j.cancel)
	}
	if query.Get("attached") == "1" {
		j.attach()
	}
	if err := h.addJob(j, request); err != nil {
		j.end(nil, func(JobStatus) {}) // it never began
		return err
	}
	go h.runJob(j, work, request)
	w.Header().Set("Location", r.URL.Path[:len(r.URL.Path)-len(j.name)]+j.id)
	return writeJSON(w, j.status())
}

// runJob runs a job to its end.
func (h *Handler) runJob(j *job, work Job, request json.RawMessage) {
	defer h.jobs.work.Done()
	log := h.log.With(zap.String("job", j.id), zap.String("name", j.name), zap.String("user", j.user))
	log.Info("job started")
	err := j.run(work, request)
	if j.ctx.Err() != nil {
		log.Info("job canceled", zap.Error(err))
	} else {
		log.Info("job ended", zap.Error(err))
	}
	h.endJob(j, request, err)
}

func (h *Handler) listJobs(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, h.jobs.statuses())
}

func (h *Handler) jobStatus(w http.ResponseWriter, r *http.Request) error {
	j, err := h.jobs.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, j.status())
}

// cancelJob cancels a job. The job ends soon after the answer. A job that has ended stays as it is.
func (h *Handler) cancelJob(w http.ResponseWriter, r *http.Request) error {
	j, err := h.jobs.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	j.cancel(errCanceled)
	return writeJSON(w, j.status())
}

// findInput returns a job that has input.
func (h *Handler) findInput(r *http.Request) (*job, error) {
	j, err := h.jobs.find(r.PathValue("id"))
	if err == nil && j.input == nil {
		err = mirror.Errorf(mirror.CodeUnsupported, "the job %s has no input", j.id)
	}
	return j, err
}

// inputOffset answers where the input of a job continues. A request that still sends input is interrupted, as its client
// has lost the connection.
func (h *Handler) inputOffset(w http.ResponseWriter, r *http.Request) error {
	j, err := h.findInput(r)
	if err != nil {
		return err
	}
	j.input.interruptFeed()
	setInputHeaders(w, j.input.now())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// receiveInput passes a part of the input to a job. It answers with the state of the job when the job has read the part, or
// has ended.
func (h *Handler) receiveInput(w http.ResponseWriter, r *http.Request) error {
	j, err := h.findInput(r)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(r.Header.Get(offsetHeader), 10, 64)
	if err != nil || offset < 0 {
		return mirror.Errorf(mirror.CodeRangeInvalid, "the header %s must be a number of bytes", offsetHeader)
	}
	if j.endedAt().IsZero() {
		err = j.input.feed(w, r, offset, r.Header.Get(completeHeader) != "?0")
	}
	setInputHeaders(w, j.input.now())
	if err != nil {
		return err
	}
	if !j.endedAt().IsZero() || j.ctx.Err() != nil {
		w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	return writeJSON(w, j.status())
}

func setInputHeaders(w http.ResponseWriter, in JobInput) {
	w.Header().Set(offsetHeader, strconv.FormatInt(in.Offset, 10))
	w.Header().Set(completeHeader, map[bool]string{true: "?1", false: "?0"}[in.Complete])
}
