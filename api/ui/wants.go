package ui

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"airmirror/mirror"
)

// maxWants is how many wants the page lists.
const maxWants = 500

// wantsData is what the page of wants shows.
type wantsData struct {
	Wants []mirror.Want // the most requested first
	Total int
	Fetch bool // the user may fetch and dismiss wants
}

func wantsPage(r *request) (any, error) {
	wants, err := r.admin.Wants(r.Context())
	return wantsData{Wants: wants[:min(len(wants), maxWants)], Total: len(wants), Fetch: r.user.Admin}, err
}

// chosenWants returns the wants that a form chooses. One that was resolved meanwhile is left out.
func chosenWants(r *request) ([]mirror.Want, error) {
	refs, err := chosen(r)
	if err != nil {
		return nil, err
	}
	all, err := r.admin.Wants(r.Context())
	return slices.DeleteFunc(all, func(w mirror.Want) bool { return !slices.Contains(refs, w.Ref) }), err
}

// fetchWants starts a job that fetches the chosen wants. It goes on when the browser leaves.
func fetchWants(r *request) (outcome, error) {
	wants, err := chosenWants(r)
	if err != nil || len(wants) == 0 {
		return outcome{notice: "fetch"}, err
	}
	_, err = r.admin.StartJob(r.Context(), "sync", map[string]any{"wants": wants}, false)
	return outcome{notice: "fetch", count: len(wants)}, err
}

// dismissWants deletes the chosen wants.
func dismissWants(r *request) (outcome, error) {
	wants, err := chosenWants(r)
	if err != nil || len(wants) == 0 {
		return outcome{notice: "dismiss"}, err
	}
	refs := make([]string, len(wants))
	for i, want := range wants {
		refs[i] = want.Ref
	}
	n, err := r.admin.ForgetWants(r.Context(), refs...)
	return outcome{notice: "dismiss", count: n}, err
}

// serveWants answers with the wants as a file for 'mirror sync --wants' on a connected mirror.
func serveWants(r *request) error {
	wants, err := r.admin.Wants(r.Context())
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(wants, "", "  ")
	if err != nil {
		return err
	}
	header := r.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Disposition", `attachment; filename="wants-`+time.Now().UTC().Format("2006-01-02")+`.json"`)
	r.w.WriteHeader(http.StatusOK)
	_, _ = r.w.Write(append(text, '\n')) // the client may have disconnected
	return nil
}
