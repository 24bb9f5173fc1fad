{{- /* The operator as the API server knows it. */ -}}
{{- define "proxmox-agent.operator" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ .Values.serviceAccount.name }}
{{- end -}}

{{- define "proxmox-agent.operatorSubjects" -}}
[{kind: ServiceAccount, name: {{ .Values.serviceAccount.name | quote }}, namespace: {{ .Release.Namespace | quote }}}]
{{- end -}}

{{- /* A binding of a role to people. Takes name, namespace, kind, role, subjects. */ -}}
{{- define "proxmox-agent.binding" -}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: {{ .name }}, namespace: {{ .namespace | quote }}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind }}, name: {{ .role }}}
subjects:
{{- range .subjects }}
- {apiGroup: rbac.authorization.k8s.io, kind: {{ .kind }}, name: {{ .name | quote }}}
{{- end }}
{{ end -}}
