package cache

// The records that a survey reads by the million.

func scanBlob(k string, value []byte) (blobRecord, error) {
	return decodeRecord[blobRecord](tableBlobs, k, value)
}

func scanLink(k string, value []byte) (linkRecord, error) {
	return decodeRecord[linkRecord](tableLinks, k, value)
}

func scanRecency(k string, value []byte) (recencyRecord, error) {
	return decodeRecord[recencyRecord](tableRecency, k, value)
}

func scanTag(k string, value []byte) (tagRecord, error) {
	return decodeRecord[tagRecord](tableTags, k, value)
}

// scanManifest decodes into r and reuses its lists.
func scanManifest(k string, value []byte, r *manifestRecord) (err error) {
	if isText(value) || readFields(r, value) != nil {
		*r, err = decodeRecord[manifestRecord](tableManifests, k, value)
	}
	return err
}
