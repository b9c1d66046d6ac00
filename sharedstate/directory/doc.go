// Package directory is how an admin listener, on which there is no traffic, knows the clusters: the plugins that see traffic
// publish, in a sharedstate.Store, which clusters their policy document has and what is needed to read the clusters'
// records.
//
//	weir/1/directory        the documents            0  document 7f3a…  claim 4  last beat 12.1 s
//	                                                 1  document 02c9…  claim 5  last beat 17.9 s
//
//	weir/1/directory/0      a document's clusters    claim 4  aws_pricing    enforce, 100 in 60 s, …
//	                                                          gcp_pricing    shadow, …
//	weir/1/directory/1
//
// All workers of a document share its row. Each gives a sign of life once a second, of which one is stored. When no worker
// has the document any more (its policy was replaced) the row is silent, and after Expiry its clusters are gone from what
// Read tells; who finds that out empties the place. A row has a claim, a number that no row before it had: of two
// documents with the same cluster the higher one's word counts, which is that of the document that came last.
//
// # Bounds
//
// There are MaxDocuments rows; one document more takes the place of that which was silent for the longest. The clusters
// of each take at most MaxBytes, so all of it is at most 4 MiB and 392 bytes. Clusters that find no room are left out, and
// Read says so. Beside that there are a few small records: when an operator last did anything (8 bytes), how calls to Redis
// go (Calls, 24 bytes), what Redis told of a limit (Told, 40 bytes a cluster with a limit of scope mesh), and of a cluster
// that an operator has reset what its metrics had counted then (Baseline, some 120 bytes) and whether Redis knows (Carried,
// 4 bytes). Their keys are names of clusters that have a policy.
//
// No token, no header's value and no body is ever in it: see Entry.
package directory
