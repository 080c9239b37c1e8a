package ui

import (
	"net/http"
	"strings"

	"airmirror/api/admin"
)

// imageData is what the page of an image shows.
type imageData struct {
	admin.ImageDetails
	Display  string // the name as clients write it
	Kind     string // "image", "chart" or "artifact"
	Commands []pullCommand
	Complete bool
	Missing  int64
	Raw      bool // the manifest is shown
}

// pullCommand is a command line that gets the image from this mirror.
type pullCommand struct {
	Client, Line string
}

func imagePage(r *request) (any, error) {
	query := r.URL.Query()
	raw := query.Has("raw")
	details, err := r.admin.ImageDetails(r.Context(), query.Get("ref"), raw)
	if err != nil {
		return nil, err
	}
	d := imageData{ImageDetails: details, Raw: raw, Kind: kindOf(details), Display: details.Name + ":" + details.Tag, Complete: len(details.Platforms) > 0}
	if details.Tag == "" {
		d.Display = details.Name + "@" + details.Digest.String()
	}
	for _, p := range details.Platforms {
		d.Complete = d.Complete && p.Complete
		d.Missing += p.Missing
	}
	d.Commands = pullCommands(d, r.Host, isSecure(r.Request))
	return d, nil
}

// kindOf returns what an image is, by its types: what a runtime runs, a chart of Helm, or any other artifact.
func kindOf(details admin.ImageDetails) string {
	kind := "image"
	for _, p := range details.Platforms {
		for _, layer := range p.Layers {
			switch {
			case strings.HasPrefix(layer.MediaType, "application/vnd.cncf.helm."):
				return "chart"
			case layer.MediaType != "" && !strings.Contains(layer.MediaType, "image.layer") && !strings.Contains(layer.MediaType, "image.rootfs"):
				kind = "artifact"
			}
		}
	}
	switch details.ArtifactType {
	case "", "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json": // of a config, not of an artifact
	default:
		kind = "artifact"
	}
	return kind
}

// isSecure reports whether the browser uses HTTPS. A client that forges the header only changes what it sees itself.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(r.Header.Get("X-Forwarded-Proto"), "https")
}

// pullCommands returns the commands for the clients of what an image is.
func pullCommands(d imageData, host string, secure bool) []pullCommand {
	at := host + "/" + d.Display
	plain := func(flag string) string {
		if secure {
			return ""
		}
		return " " + flag
	}
	switch d.Kind {
	case "chart":
		version := ""
		if d.Tag != "" {
			version = " --version " + strings.ReplaceAll(d.Tag, "_", "+") // as Helm writes a + in a tag
		}
		return []pullCommand{{"helm", "helm pull oci://" + host + "/" + d.Name + version + plain("--plain-http")}}
	case "artifact":
		return []pullCommand{{"oras", "oras pull " + at + plain("--plain-http")}}
	}
	return []pullCommand{
		{"docker", "docker pull " + at},
		{"podman", "podman pull " + at + plain("--tls-verify=false")},
		{"containerd", "ctr images pull " + at + plain("--plain-http")},
	}
}
