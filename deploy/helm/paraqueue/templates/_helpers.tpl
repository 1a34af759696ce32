{{- define "paraqueue.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 48 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "paraqueue.selector" -}}
app.kubernetes.io/name: paraqueue
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "paraqueue.labels" -}}
{{ include "paraqueue.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "paraqueue.secretName" -}}
{{ .Values.existingSecret | default (include "paraqueue.fullname" .) }}
{{- end }}

{{- define "paraqueue.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "paraqueue.fullname" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "paraqueue.image" -}}
{{ printf "%s%s:%s" .root.Values.image.registry .name (.tag | default .root.Values.image.tag | default .root.Chart.AppVersion) }}
{{- end }}

{{/* Settings as variables: {device: cpu} → PARAQUEUE_DEVICE: "cpu". Numbers keep their digits. */}}
{{- define "paraqueue.variables" -}}
{{- range $name, $value := . }}
PARAQUEUE_{{ upper $name }}: {{ if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ printf "%.0f" $value | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{- define "paraqueue.metricsEnv" -}}
{{- if .Values.metrics.enabled }}
- {name: PARAQUEUE_METRICS_HOST, value: "0.0.0.0"}
- {name: PARAQUEUE_METRICS_PORT, value: {{ .Values.metrics.port | quote }}}
{{- end }}
{{- end }}

{{- define "paraqueue.metricsPort" -}}
{{- if .Values.metrics.enabled }}
ports:
  - {name: metrics, containerPort: {{ .Values.metrics.port }}}
{{- end }}
{{- end }}

{{- define "paraqueue.envFrom" -}}
- configMapRef: {name: {{ include "paraqueue.fullname" . }}}
- secretRef: {name: {{ include "paraqueue.secretName" . }}}
{{- end }}

{{/* Beat and Flower only send and watch messages: of the secrets they get the address of Redis alone. */}}
{{- define "paraqueue.redisEnv" -}}
- name: PARAQUEUE_REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ include "paraqueue.secretName" . }}, key: PARAQUEUE_REDIS_URL}
{{- end }}

{{/* The database URL of a component with a role of its own, over that of the release. */}}
{{- define "paraqueue.databaseEnv" -}}
{{- with . }}
- name: PARAQUEUE_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: PARAQUEUE_DATABASE_URL}
- name: PARAQUEUE_DATABASE_DIRECT_URL
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: PARAQUEUE_DATABASE_DIRECT_URL, optional: true}
{{- end }}
{{- end }}

{{/* What every pod of ours has, but for its containers and volumes. */}}
{{- define "paraqueue.podCommon" -}}
serviceAccountName: {{ include "paraqueue.serviceAccountName" .root }}
automountServiceAccountToken: false
# Kubernetes would add variables for each Service of the namespace, and PARAQUEUE_…_PORT=tcp://… reads like a setting.
enableServiceLinks: false
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A change of settings is a new roll-out. */}}
{{- define "paraqueue.podMetadata" -}}
labels: {{- include "paraqueue.labels" . | nindent 2 }}
annotations:
  checksum/settings: {{ print (include (print .root.Template.BasePath "/configmap.yaml") .root) (include (print .root.Template.BasePath "/secret.yaml") .root) | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The root is read-only: these are the places that the code writes to. */}}
{{- define "paraqueue.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.storageVolume.enabled }}
- {name: storage, mountPath: /var/lib/paraqueue/storage}
{{- end }}
{{- end }}

{{- define "paraqueue.volumes" -}}
- name: tmp
  emptyDir: {}
{{- if .Values.storageVolume.enabled }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ .Values.storageVolume.existingClaim | default (printf "%s-storage" (include "paraqueue.fullname" .)) }}
{{- end }}
{{- end }}

{{/* A pool with the defaults under it. */}}
{{- define "paraqueue.pool" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.workerDefaults) (deepCopy (.pool | default dict))) }}
{{- end }}

{{/* The model of a pool: its own, the release's, or the code's default. */}}
{{- define "paraqueue.model" -}}
{{- .pool.settings.model | default .root.Values.settings.model | default "paraformer-large-zh" }}
{{- end }}
