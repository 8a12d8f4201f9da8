package cdc

import "encoding/json"

// jsonStrings reads a list of names as json_agg writes it; null is none.
func jsonStrings(text []byte) ([]string, error) {
	if text == nil {
		return nil, nil
	}
	var list []string
	err := json.Unmarshal(text, &list)
	return list, err
}
