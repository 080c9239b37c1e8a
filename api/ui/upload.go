package ui

import (
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// importRequest returns the request of an import with the options that a form has chosen.
func importRequest(chosen func(string) string) admin.ImportRequest {
	return admin.ImportRequest{
		DryRun: chosen("preview") != "", Overwrite: chosen("overwrite") != "", AllowOlder: chosen("older") != "", AnyDestination: chosen("destination") != "",
		Tag: chosen("tag"),
	}
}

// importForm imports the files of a form as a browser without JavaScript sends it: the options first, then the files. The
// volumes of a bundle are one import.
func importForm(r *request) (outcome, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return outcome{}, mirror.Errorf(mirror.CodeUnsupported, "read the form: %w", err)
	}
	up, values := &formUpload{request: r}, map[string]string{"preview": r.URL.Query().Get("preview")}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = up.part(part, values)
		}
		if err != nil {
			up.cancel()
			return outcome{}, mirror.Errorf(mirror.CodeUnavailable, "read the form: %w", err)
		}
		if up.job.State != "" && up.job.State != admin.JobRunning { // the rest is not needed, or not wanted
			break
		}
	}
	if up.job.ID == "" {
		return outcome{}, mirror.Errorf(mirror.CodeNameInvalid, "no file was chosen: choose a bundle, or all of its volumes")
	}
	_, _ = io.Copy(io.Discard, r.Body) // a browser reads the answer after it has sent everything
	return outcome{to: withQuery("transfer", url.Values{"job": {up.job.ID}})}, up.end()
}

// formUpload sends the files of a form to imports, one after another.
type formUpload struct {
	*request
	job    admin.JobStatus // the current import
	set    string          // of volumes; "" for another file
	offset int64
}

// part reads a part of the form.
func (u *formUpload) part(part *multipart.Part, values map[string]string) error {
	const maxValue = 4096
	if part.FileName() == "" {
		text, err := io.ReadAll(io.LimitReader(part, maxValue))
		values[part.FormName()] = string(text)
		return err
	}
	set, number, isVolume := admin.ParseVolume(part.FileName())
	if u.job.ID == "" || !isVolume || set != u.set || number == 1 {
		if err := u.end(); err != nil {
			return err
		}
		var err error
		u.set, u.offset = set, 0
		if u.job, err = u.admin.StartJob(u.Context(), "import", importRequest(func(name string) string { return values[name] }), true); err != nil {
			return err
		}
	}
	var err error
	u.job, err = u.admin.SendInput(u.Context(), u.job.ID, u.offset, part, false)
	if u.job.Input != nil {
		u.offset = u.job.Input.Offset
	}
	return err
}

// end ends the input of the current import, if there is one.
func (u *formUpload) end() error {
	if u.job.ID == "" || u.job.State != admin.JobRunning {
		return nil
	}
	_, err := u.admin.SendInput(u.Context(), u.job.ID, u.offset, http.NoBody, true)
	return err
}

// cancel cancels an import whose browser has gone: a form cannot be continued.
func (u *formUpload) cancel() {
	if u.job.ID != "" {
		_, _ = u.admin.CancelJob(u.Context(), u.job.ID) // else it ends when its input does not arrive
	}
}

// startUpload starts an import whose input a script sends in pieces, and answers with the job.
func startUpload(r *request) (outcome, error) {
	req := importRequest(r.PostFormValue)
	size, err := strconv.ParseInt(r.PostFormValue("size"), 10, 64)
	if set, number, ok := admin.ParseVolume(r.PostFormValue("name")); ok && err == nil {
		req.Volume = &admin.ImportVolume{Set: set, Number: number, Size: size, More: true}
	}
	job, err := r.admin.StartJob(r.Context(), "import", req, true)
	return r.answer(job, err)
}

// sendUpload sends a piece of the input, which is the body, and answers with the job. Without an offset it only answers.
func sendUpload(r *request) (outcome, error) {
	query := r.URL.Query()
	offset, err := strconv.ParseInt(query.Get("offset"), 10, 64)
	if err != nil {
		return r.answer(r.admin.JobStatus(r.Context(), query.Get("job")))
	}
	return r.answer(r.admin.SendInput(r.Context(), query.Get("job"), offset, r.Body, query.Get("last") == "1"))
}

// answer answers a script with a job.
func (r *request) answer(job admin.JobStatus, err error) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	r.w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(r.w).Encode(job) // the client may have disconnected
	return outcome{sent: true}, nil
}
