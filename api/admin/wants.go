package admin

import (
	"net/http"

	"airmirror/mirror"
)

// Forget names wants to strike off; all of them if it names none.
type Forget struct {
	Match []string `json:"match"` // references, or patterns as for images
}

// Forgotten says how many wants were struck off.
type Forgotten struct {
	Count int `json:"count"`
}

func (h *Handler) wants(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, h.mirror.Wants())
}

func (h *Handler) forgetWants(w http.ResponseWriter, r *http.Request) error {
	var forget Forget
	if err := readJSON(w, r, &forget); err != nil {
		return err
	}
	if len(forget.Match) == 0 {
		count := h.mirror.ForgetWants()
		h.changed(r, "forget-wants", forget, nil)
		return writeJSON(w, Forgotten{Count: count})
	}
	var refs []string
	wants := h.mirror.Wants()
	for _, text := range forget.Match {
		match, err := newMatcher(h.mirror.Names(), []string{text})
		if err != nil {
			return err
		}
		found := false
		for _, want := range wants {
			ref, err := mirror.ParseRef(want.Ref)
			if want.Ref == text || err == nil && match.ref(ref) {
				refs, found = append(refs, want.Ref), true
			}
		}
		if !found {
			return mirror.Errorf(mirror.CodeManifestUnknown, "nothing that is wanted is called %s: 'mirror wants' lists what is", text)
		}
	}
	count := h.mirror.ForgetWants(refs...)
	h.changed(r, "forget-wants", forget, nil)
	return writeJSON(w, Forgotten{Count: count})
}
