{# Fails for every data set and hour of the run in which events were dropped: too early, or what the policy drops. #}
{% test no_event_was_dropped(model) %}

select *
from {{ model }}
where {{ in_replaced_hours() }} and dropped > 0

{% endtest %}
