package ui

import (
	"maps"
	"slices"
	"time"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// systemData is what the page of the system shows.
type systemData struct {
	Status      admin.Status
	Modes       []mirror.Mode
	Certificate string // "ok", "warn" or "bad"; "" without TLS
	Defects     []defectCount
	Endpoints   []endpointRow
	Jobs        []jobRow
	Changes     []admin.LoggedChange
	Settings    string // YAML with the origin of each value in a comment; "" if the client may not read them
}

// defectCount is how often the last verification found a kind of defect.
type defectCount struct {
	Kind  mirror.DefectKind
	Count int
}

// endpointRow is an endpoint of events.
type endpointRow struct {
	Name, Host, Kind, Code, Error string
	Waiting                       int
	Lost                          uint64
	Since                         time.Time
}

// certificateNotice is how long before its expiry a certificate is worth a notice.
const certificateNotice = 30 * 24 * time.Hour

func systemPage(r *request) (any, error) {
	status, err := r.admin.Status(r.Context())
	if err != nil {
		return nil, err
	}
	d := systemData{Status: status, Modes: []mirror.Mode{mirror.Auto, mirror.Online, mirror.Offline}}
	if expires := status.CertificateExpires; !expires.IsZero() {
		switch left := time.Until(expires); {
		case left < 0:
			d.Certificate = "bad"
		case left < certificateNotice:
			d.Certificate = "warn"
		default:
			d.Certificate = "ok"
		}
	}
	if last := status.Verify.Last; last != nil {
		for _, kind := range slices.Sorted(maps.Keys(last.Defects)) {
			d.Defects = append(d.Defects, defectCount{kind, last.Defects[kind]})
		}
	}
	for _, e := range status.Events {
		row := endpointRow{Name: e.Name, Host: e.Host, Waiting: e.Waiting, Since: e.Since, Error: e.Error, Kind: "ok", Code: "ok"}
		for _, n := range e.Dropped {
			row.Lost += n
		}
		switch {
		case status.Mode == mirror.Offline && !e.Offline:
			row.Kind, row.Code = "off", "waiting"
		case e.Error != "":
			row.Kind, row.Code = "bad", "failing"
		}
		d.Endpoints = append(d.Endpoints, row)
	}
	if d.Jobs, err = listJobs(r, false); err != nil {
		return nil, err
	}
	if d.Changes, err = listChanges(r); err != nil {
		return nil, err
	}
	if r.user.Admin && r.opts.Settings != nil {
		d.Settings, err = r.opts.Settings()
	}
	return d, err
}

// setMode switches the mode of the mirror.
func setMode(r *request) (outcome, error) {
	mode, err := mirror.ParseMode(r.PostFormValue("mode"))
	if err != nil {
		return outcome{}, err
	}
	_, err = r.admin.SetMode(r.Context(), mode)
	return outcome{notice: "mode", count: 1}, err
}

// setReadOnly switches read-only on or off.
func setReadOnly(r *request) (outcome, error) {
	on := r.PostFormValue("on") == "1"
	_, err := r.admin.SetReadOnly(r.Context(), on)
	if on {
		return outcome{notice: "readOnly", count: 1}, err
	}
	return outcome{notice: "writable", count: 1}, err
}
