package admin

import (
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// These are the requests and results of imports and exports, under the names that clients of the API use.
type (
	// ImportRequest starts an import.
	ImportRequest = transfer.ImportRequest
	// ExportRequest starts an export, or the plan of one.
	ExportRequest = transfer.ExportRequest
	// TransferSummary is the result of an import or an export.
	TransferSummary = transfer.Summary
	// ImportVolume is a volume that an import reads.
	ImportVolume = transfer.Volume
	// PendingImport is an import that waits for volumes.
	PendingImport = transfer.PendingImport
	// ExportedBundle is a bundle that was exported before.
	ExportedBundle = transfer.ExportedBundle
)

// ParseVolume splits the file name of a volume of a bundle; see [volume.Parse].
func ParseVolume(file string) (set string, number int, ok bool) { return volume.Parse(file) }
