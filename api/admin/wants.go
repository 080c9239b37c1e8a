package admin

import (
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// ForgetRequest deletes the wants that match any pattern of Match, or all wants if Match is empty.
type ForgetRequest struct {
	Match []string `json:"match"` // references, or patterns as for images
}

// ForgetResult is the number of wants that were deleted.
type ForgetResult struct {
	Count int `json:"count"`
}

func (h *Handler) wants(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, visibleWants(AccessOf(r.Context()), h.mirror.Wants()))
}

// visibleWants returns the wants of repositories that a sender may pull. Only administrators see who requested them.
func visibleWants(access Access, all []mirror.Want) []mirror.Want {
	if access.IsAdmin() {
		return all
	}
	visible := []mirror.Want{}
	for _, want := range all {
		if ref, err := mirror.ParseRef(want.Ref); err == nil && access.MayPull(ref.Repo) {
			want.Clients = nil
			visible = append(visible, want)
		}
	}
	return visible
}

func (h *Handler) forgetWants(w http.ResponseWriter, r *http.Request) error {
	var forget ForgetRequest
	if err := readJSON(w, r, &forget); err != nil {
		return err
	}
	count, err := h.forget(forget)
	h.notify(r, "forget-wants", forget, err)
	if err != nil {
		return err
	}
	return writeJSON(w, ForgetResult{Count: count})
}

// forget deletes wants and returns their number. It deletes none if a pattern matches no want.
func (h *Handler) forget(forget ForgetRequest) (int, error) {
	if len(forget.Match) == 0 {
		return h.mirror.ForgetWants(), nil
	}
	var refs []string
	wants := h.mirror.Wants()
	for _, text := range forget.Match {
		match, err := newMatcher(h.mirror.Names(), []string{text})
		if err != nil {
			return 0, err
		}
		var found []string
		var digests []digest.Digest
		for _, want := range wants {
			ref, err := mirror.ParseRef(want.Ref)
			if want.Ref == text || err == nil && match.ref(ref) {
				found, digests = append(found, want.Ref), append(digests, ref.Digest)
			}
		}
		if _, d, ok := strings.Cut(text, "@"); ok && len(found) > 1 {
			if _, err := mirror.ChooseDigest(d, digests); err != nil {
				return 0, err
			}
		}
		refs = append(refs, found...)
		if len(found) == 0 {
			return 0, mirror.Errorf(mirror.CodeManifestUnknown, "no want matches %s: 'mirror wants' lists all wants", text)
		}
	}
	return h.mirror.ForgetWants(refs...), nil
}
