package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

const (
	// maxShownConfig is the size of the largest config that is shown, and maxShownConfigs that of all configs of an image,
	// in bytes. A config of an image has some KiB.
	maxShownConfig, maxShownConfigs = 1 << 20, 8 << 20
	// maxItems is the greatest number of variables, labels or steps that are shown of a config.
	maxItems = 1000
	// maxText is the length to which texts are shortened, in bytes.
	maxText = 4 << 10
)

// readConfig sets what a stored config says of its image.
func (in *inspection) readConfig(ctx context.Context, config v1.Descriptor, p *mirror.PlatformDetails) error {
	stat, err := in.store.StatBlob(ctx, in.repo, config.Digest)
	if err != nil || !stat.Stored || !stat.Linked {
		return err
	}
	if stat.Size > maxShownConfig || in.read+stat.Size > maxShownConfigs {
		p.Error = fmt.Sprintf("the config has %d bytes, which is too large to be shown", stat.Size)
		return nil
	}
	in.read += stat.Size
	blob, err := in.store.OpenContent(ctx, config.Digest)
	if err != nil {
		p.Error = err.Error()
		return ctx.Err()
	}
	defer blob.Close()
	text, err := io.ReadAll(io.LimitReader(blob, maxShownConfig))
	var image v1.Image
	if err == nil {
		err = json.Unmarshal(text, &image)
	}
	if err != nil {
		p.Error = "the config cannot be read: " + clip(err.Error())
		return ctx.Err()
	}
	if p.Platform == "" && image.OS != "" && image.Architecture != "" {
		p.Platform = clip(mirror.PlatformString(image.Platform))
	}
	p.Config, p.History = configOf(image), historyOf(image.History)
	return nil
}

func configOf(image v1.Image) *mirror.ImageConfig {
	c := &mirror.ImageConfig{
		Author: clip(image.Author), User: clip(image.Config.User), WorkingDir: clip(image.Config.WorkingDir),
		Entrypoint: clipList(image.Config.Entrypoint), Cmd: clipList(image.Config.Cmd), Env: clipList(image.Config.Env),
		ExposedPorts: clipList(slices.Sorted(maps.Keys(image.Config.ExposedPorts))), Volumes: clipList(slices.Sorted(maps.Keys(image.Config.Volumes))),
		Labels: clipMap(image.Config.Labels), StopSignal: clip(image.Config.StopSignal),
	}
	if image.Created != nil {
		c.Created = *image.Created
	}
	return c
}

func historyOf(steps []v1.History) []mirror.ImageHistory {
	var history []mirror.ImageHistory
	for _, step := range steps[:min(len(steps), maxItems)] {
		h := mirror.ImageHistory{CreatedBy: clip(step.CreatedBy), Comment: clip(step.Comment), EmptyLayer: step.EmptyLayer}
		if step.Created != nil {
			h.Created = *step.Created
		}
		history = append(history, h)
	}
	return history
}

// clip shortens a text.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

func clipList(list []string) []string {
	list = slices.Clone(list[:min(len(list), maxItems)])
	for k := range list {
		list[k] = clip(list[k])
	}
	return list
}

func clipMap(texts map[string]string) map[string]string {
	clipped := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if len(clipped) == maxItems {
			break
		}
		clipped[clip(key)] = clip(texts[key])
	}
	return clipped
}
